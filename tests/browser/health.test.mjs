// How a connection fares, what happened and why, and where alerts go.

import { describe } from 'node:test'

import { connectionPath, said, tab } from './pages.mjs'
import { scene } from './scene.mjs'

const MAPPINGS = {
  contacts: {
    fields: [{ property: 'jobtitle', variable: 'job_title' }, { property: 'city', variable: 'city' }],
  },
}

describe('health', { concurrency: 2 }, () => {
  scene('what came shows by itself, and why a record did not reach a user is answered', async (scene) => {
    const [project, account] = await scene.sides()
    await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    const contact = await account.create('contacts', { email: 'ana@northwind.example' })
    const stranger = await account.create('contacts', { email: 'zoe@elsewhere.example' })
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/health'))
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    await browser.see('health/nothing-yet')
    await account.change('contacts', contact, { jobtitle: 'Engineer' })
    await account.change('contacts', stranger, { jobtitle: 'Pilot' })
    await said(page, '1 value written').waitFor()
    await browser.see('health/live')
    await page.getByText('Show as a table').click()
    await page.getByRole('columnheader', { name: 'Hour' }).waitFor()

    await tab(page, 'Activity').click()
    await page.getByRole('row', { name: /job_title/ }).first().waitFor()
    await browser.see('health/activity')
    const box = page.getByRole('searchbox', { name: 'Email, HubSpot record or User ID' })
    await box.fill('ana@northwind.example')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /Contact .*to.* Ana Silva/ }).waitFor()
    await browser.see('health/explained-written')
    await box.fill(`contact ${stranger}`)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /to.* no user/ }).waitFor()
    await browser.see('health/explained-no-match')
    await box.fill('what is this')
    await page.keyboard.press('Enter')
    await page.getByRole('main').locator('#explanation [data-said]').waitFor()
    await browser.see('health/question-not-understood')
  })

  scene('a place for alerts is added, refused where it is none, tested and removed', async (scene) => {
    const [project, account] = await scene.sides()
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/alerts'))
    await page.getByRole('heading', { name: 'Where alerts go' }).waitFor()
    await browser.see('alerts/none')
    await page.getByRole('radio', { name: /Webhook/ }).last().check()
    await page.getByRole('textbox', { name: 'Address' }).fill('nowhere')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByRole('alert').waitFor()
    await browser.see('alerts/refused')
    // Nobody answers there, which a test shows.
    await page.getByRole('textbox', { name: 'Address' }).fill('https://receiver.invalid/alerts')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByRole('button', { name: /Send a test/ }).waitFor()
    await browser.see('alerts/added')
    await page.getByRole('button', { name: /Send a test/ }).click()
    await page.locator('.banner[role=status]').waitFor()
    await browser.see('alerts/tested')
    await page.getByRole('button', { name: /^Remove/ }).click()
    await said(page, 'Nowhere yet').waitFor()
  })
})
