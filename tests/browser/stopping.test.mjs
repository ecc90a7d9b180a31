// Pausing, losing access, and leaving.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { begin, comes, connectionPath, grant, said, statuses, toConsent, toIntegrations } from './pages.mjs'
import { scene } from './scene.mjs'

const MAPPINGS = { contacts: { fields: [{ property: 'jobtitle', variable: 'job_title' }] } }

/** A connection that has filled one value. */
async function filled(scene) {
  const [project, account] = await scene.sides()
  const [user] = await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
  const contact = await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
  const id = await project.connect(account, MAPPINGS)
  const browser = await scene.signedIn(project)
  await browser.page.goto(connectionPath(id, '/syncs'))
  await begin(browser.page, 'Run full sync')
  await comes(browser.page, 'Completed')
  return { project, account, user, contact, id, browser, page: browser.page }
}

describe('stopping', { concurrency: 2 }, () => {
  scene('a pause says so on every page of the settings until it is resumed, and what changed is caught up with', async (scene) => {
    const { project, account, contact, id, browser, page } = await filled(scene)
    await page.goto(connectionPath(id))
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('heading', { name: `HubSpot is paused: ${account.domain}` }).waitFor()
    await browser.see('stopping/paused')
    await page.goto(connectionPath(id, '/syncs'))
    await said(page, 'Resume the integration first.').waitFor()
    await browser.see('stopping/paused-full-sync')
    await account.change('contacts', contact, { jobtitle: 'Pilot' })
    await toIntegrations(page)
    await browser.see('stopping/paused-integrations')
    await page.getByRole('region', { name: /paused/ }).getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('main').getByText('Connected', { exact: true }).waitFor()
    assert.equal(await said(page, 'is paused').count(), 0)
    await page.goto(connectionPath(id, '/syncs'))
    await page.getByRole('link', { name: 'Catch-up' }).first().click()
    await comes(page, 'Completed')
    assert.equal((await project.user('1')).variables.job_title.value, 'Pilot')
  })

  scene('where HubSpot revoked the access, every page of the settings says so, and reconnecting mends it', async (scene) => {
    const { project, account, id, browser, page } = await filled(scene)
    await account.call('POST', '/uninstall')
    await page.goto(connectionPath(id, '/syncs'))
    // Asking HubSpot what a full sync costs finds out.
    await said(page, 'What it takes is not known now').waitFor()
    await page.goto(connectionPath(id))
    await page.getByRole('heading', { name: 'HubSpot needs attention' }).waitFor()
    await browser.see('stopping/revoked')
    await toIntegrations(page)
    await browser.see('stopping/revoked-integrations')
    await toConsent(page, 'Reconnect')
    await grant(page, account)
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await page.getByRole('main').getByText('Connected', { exact: true }).waitFor()
    assert.deepEqual(await statuses(project), ['active'])
  })

  for (const [choice, stays] of [['Keep them', true], ['Clear them', false]]) {
    scene(`deleting says what stops and does what was chosen: ${choice.toLowerCase()}`, async (scene) => {
      const { project, id, user, browser, page } = await filled(scene)
      await page.goto(connectionPath(id))
      await page.getByRole('link', { name: 'Delete…' }).click()
      await page.getByRole('heading', { name: 'Delete this integration?' }).waitFor()
      await said(page, 'This stops everything at once').waitFor()
      if (stays) await browser.see('stopping/delete')
      await page.getByRole('radio', { name: choice }).check()
      await page.getByRole('button', { name: 'Delete integration' }).click()
      await page.getByRole('button', { name: 'Enable' }).waitFor()
      const banner = page.getByRole('region', { name: 'Deleted' })
      await banner.getByText(stays ? 'Its values stay on the users' : 'Its values are cleared').waitFor()
      await browser.see(`stopping/deleted-${stays ? 'values-kept' : 'values-cleared'}`)
      // It is told once.
      await page.reload()
      await page.getByRole('button', { name: 'Enable' }).waitFor()
      assert.equal(await banner.count(), 0)
      assert.deepEqual(await statuses(project), [])
      await page.goto(`/users/${user}`)
      assert.equal(await said(page, 'Engineer').count(), stays ? 1 : 0)
      assert.equal(await said(page, 'HubSpot ·').count(), 0)
      await page.goto(connectionPath(id))
      await page.getByRole('heading', { level: 1 }).waitFor()
      if (stays) await browser.see('stopping/connection-gone')
    })
  }
})
