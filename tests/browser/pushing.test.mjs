// A source that only pushes: connected by a key, mapped, and fed by what it pushes.

import { describe } from 'node:test'

import { said, tab, toIntegrations } from './pages.mjs'
import { scene } from './scene.mjs'

describe('pushing', () => {
  scene('a source that only pushes is connected by its key, mapped, and shows on the profile', async (scene) => {
    const world = await scene.ownWorld()
    await world.runPushed()
    const project = await world.project('Northwind')
    const [ana] = await project.users({ external_id: 'u_1', email: 'ana@northwind.example', name: 'Ana Ruiz' })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await said(page, 'JSON webhook', { exact: true }).waitFor()
    await browser.see('integrations/two-connectors')
    await page.getByRole('link', { name: 'Enable' }).click()
    await page.getByRole('heading', { level: 1, name: 'Connect JSON webhook' }).waitFor()
    await browser.see('pushing/connect')
    await page.getByRole('textbox', { name: 'Account' }).fill('acme')
    await page.getByLabel('Connection key').fill('not the key')
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await said(page, 'This is not the key of that account').waitFor()
    await browser.see('pushing/wrong-key')
    await page.getByLabel('Connection key').fill(world.connectionKey('acme'))
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'JSON webhook integration' }).waitFor()
    await browser.see('pushing/overview-new')

    await page.getByRole('link', { name: 'Choose the matching field' }).click()
    await page.getByRole('button', { name: 'Use this' }).first().waitFor()
    await browser.see('pushing/matching')
    await page.getByRole('button', { name: 'Use this' }).first().click()
    await page.waitForURL(/\/fields$/)
    const { connections: [{ id }] } = await project.call('GET', '/connections')
    await project.call('PUT', `/connections/${id}/mappings`, {
      people: { fields: [
        { property: 'plan', variable: 'plan', show: 'label' },
        { property: 'seats', variable: 'seats' },
      ] },
    })
    await tab(page, 'Synced fields').click()
    await said(page, 'Seats', { exact: true }).first().waitFor()
    await browser.see('pushing/fields')

    await page.goto(`/users/${ana}`)
    await world.push({
      workspace: 'acme', type: 'people', id: 'p-1', updated_at: new Date().toISOString().replace(/\.\d+/, ''),
      properties: { email: 'ana@northwind.example', plan: 'team', seats: 12 },
    })
    await said(page, 'Team', { exact: true }).waitFor()
    await said(page, 'JSON webhook · Person p-1').first().waitFor()
    await browser.see('pushing/profile')
    await page.goto(`/settings/integrations/${id}/health`)
    await page.getByRole('heading', { name: 'How changes arrive' }).waitFor()
    await browser.see('pushing/health')
    await tab(page, 'Overview').click()
    await said(page, 'nothing can be read from it').waitFor()
    await browser.see('pushing/overview')
  })
})
