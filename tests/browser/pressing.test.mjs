// Forms that are pressed twice on a slow line: each is done once, and says what came of it. With the
// page's own script, which takes no second press, and without it, where the host is asked twice.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { comes, connectionPath, grant, said, statuses, toConsent, toIntegrations } from './pages.mjs'
import { scene } from './scene.mjs'

/** How long every answer takes on a slow line, and how soon somebody presses again. */
const LATENCY_MS = 800
const IMPATIENCE_MS = 250

/** Presses a button twice, on a line that is slow meanwhile. */
async function pressTwice(page, button, waiting) {
  await button.scrollIntoViewIfNeeded()
  const box = await button.boundingBox()
  const line = await page.context().newCDPSession(page)
  const slow = (latency) => line.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: -1, uploadThroughput: -1 })
  await line.send('Network.enable')
  await slow(LATENCY_MS)
  const press = () => page.mouse.click(box.x + box.width / 2, box.y + box.height / 2)
  await press()
  if (waiting) await page.locator('button[aria-disabled=true]').getByText(waiting).waitFor()
  await page.waitForTimeout(IMPATIENCE_MS)
  await press()
  return () => slow(0)
}

/** Each form that does something, one after the other. */
async function all(scene, javaScriptEnabled) {
  const [project, account] = await scene.sides()
  await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
  await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
  const browser = await scene.signedIn(project, 'admin', { javaScriptEnabled })
  const { page } = browser
  /** Without the script, nothing says that it waits. */
  const twice = async (name, waiting, comesOf) => {
    const button = page.getByRole('button', { name, exact: true })
    const quicken = await pressTwice(page, button, javaScriptEnabled && waiting)
    await comesOf.waitFor()
    await quicken()
  }
  const main = page.getByRole('main')

  await toIntegrations(page)
  await toConsent(page)
  await grant(page, account)
  await page.getByRole('heading', { name: 'Connect HubSpot' }).waitFor()
  await twice('Connect', 'Connecting…', page.getByRole('heading', { name: 'HubSpot integration' }))
  assert.deepEqual(await statuses(project), ['active'])
  const [{ id }] = (await project.call('GET', '/connections')).connections

  await page.goto(connectionPath(id, '/matching/check'))
  await twice('Use this', 'Saving…', page.getByRole('link', { name: 'Add fields of contacts' }))

  await page.goto(connectionPath(id, '/fields/add?object_type=contacts&q=jobtitle'))
  await page.getByRole('button', { name: 'Add Job Title' }).click()
  await said(page, '1 change is not saved yet').waitFor()
  await page.goto(connectionPath(id, '/fields/review'))
  await twice('Save', 'Saving…', said(page, 'nothing old was filled in'))
  await main.getByRole('link', { name: 'Run a full sync' }).click()

  await page.getByRole('heading', { name: 'Run a full sync' }).waitFor()
  await twice('Run full sync', 'Beginning…', page.getByRole('region', { name: 'Progress' }))
  if (javaScriptEnabled) await comes(page, 'Completed')
  else while (await page.getByText('Completed').count() === 0) await page.reload()
  const { syncs } = await project.call('GET', `/connections/${id}/syncs`)
  assert.equal(syncs.filter((sync) => sync.kind === 'full').length, 1)

  await page.goto('/segments/new?g=all&a=attribute.jobtitle&o=is_empty&e=')
  await page.getByRole('textbox', { name: 'Name' }).fill('Without a job title')
  await twice('Save segment', 'Saving…', page.getByRole('status').getByText('Saved', { exact: true }))
  assert.equal((await project.call('GET', '/segments')).segments.length, 1)

  await page.goto('/settings/tokens')
  await page.getByRole('textbox', { name: 'Name' }).fill('Nightly import')
  await twice('Make a token', 'Making a token…', page.getByRole('textbox', { name: 'Token' }))
  assert.equal(await main.getByRole('button', { name: /^Revoke/ }).count(), 1)

  await page.goto(connectionPath(id, '/delete'))
  await twice('Delete integration', 'Deleting…', said(page, 'Its values stay on the users'))
  assert.deepEqual(await statuses(project), [])
}

describe('pressing twice on a slow line', { concurrency: 2 }, () => {
  scene('a button says what it waits for, is not pressed again, and what was done is said', (scene) => all(scene, true))

  scene('without scripts what was done once is said to who pressed twice', (scene) => all(scene, false))

  scene('who comes back to a form finds it as it was', async (scene) => {
    const [project] = await scene.sides()
    const { page } = await scene.signedIn(project)
    await toIntegrations(page)
    await toConsent(page)
    await page.goBack()
    await page.getByRole('button', { name: /^(Enable|Finish connecting)$/ }).waitFor()
    assert.equal(await page.locator('[aria-disabled=true]').count(), 0)
  })
})
