// Forms that are pressed twice: each is done once, and says what came of it, for the
// page's own script takes no second press. What the host does where it is asked twice is the suite's.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { comes, connectionPath, grant, said, statuses, toConsent, toIntegrations, underWay } from './pages.mjs'
import { scene } from './scene.mjs'

/** Has the page write down what its buttons say while they wait from now on. */
const WATCH = `sessionStorage.removeItem('waited')
new MutationObserver(() => {
  const said = document.querySelector('button[aria-disabled=true]')?.textContent.trim()
  if (said) sessionStorage.setItem('waited', said)
}).observe(document, { subtree: true, attributes: true, childList: true })`

/** Presses a button twice, before anything can have come of the first press. */
async function pressTwice(page, button) {
  await button.scrollIntoViewIfNeeded()
  const box = await button.boundingBox()
  await page.evaluate(WATCH)
  const line = await page.context().newCDPSession(page)
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2, button: 'left', clickCount: 1 }
  const types = ['mousePressed', 'mouseReleased', 'mousePressed', 'mouseReleased']
  // By the protocol itself, all at once: the library waits for the next page in between.
  await Promise.all(types.map((type) => line.send('Input.dispatchMouseEvent', { type, ...at })))
}

/** Each form that does something, one after the other. */
async function all(scene) {
  const [project, account] = await scene.sides()
  await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
  await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
  const browser = await scene.signedIn(project)
  const { page } = browser
  const twice = async (name, waiting, comesOf) => {
    const button = page.getByRole('button', { name, exact: true })
    await pressTwice(page, button)
    await comesOf.waitFor()
    assert.equal(await page.evaluate(() => sessionStorage.getItem('waited')), waiting)
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
  await comes(page, 'Completed')
  const { syncs } = await project.call('GET', `/connections/${id}/syncs`)
  assert.equal(syncs.filter((sync) => sync.kind === 'full').length, 1)

  await page.goto('/segments/new?g=all&a=attribute.jobtitle&o=is_empty&e=')
  await page.getByRole('textbox', { name: 'Name' }).fill('Without a job title')
  await twice('Save segment', 'Saving…', page.getByRole('status').getByText('Saved', { exact: true }))
  assert.equal((await project.call('GET', '/segments')).segments.length, 1)

  await page.goto('/settings/tokens')
  await page.getByRole('textbox', { name: 'Name' }).fill('Nightly import')
  await twice('Make a token', 'Making a token…', page.getByRole('textbox', { name: 'Token' }))
  assert.equal(await main.getByRole('row').filter({ hasText: 'Nightly import' }).count(), 1)

  await page.goto(connectionPath(id, '/delete'))
  await twice('Delete integration', 'Deleting…', said(page, 'Its values stay on the users'))
  assert.deepEqual(await statuses(project), [])
}

describe('pressing twice', { concurrency: 2 }, () => {
  scene('a button says what it waits for, is not pressed again, and what was done is said', all)

  scene('what changed beside a form that was under way is shown once the form is given back', async (scene) => {
    const [project, account] = await scene.sides()
    const id = await project.connect(account)
    const { page } = await scene.signedIn(project)
    await page.goto(connectionPath(id))
    const pause = page.locator('form[action$="/pause"]')
    await underWay(pause)
    await project.call('POST', `/connections/${id}/pause`)
    await said(page, 'Paused', { exact: true }).waitFor()
    assert.equal(await pause.getAttribute('aria-busy'), 'true')
    // As when somebody comes back to it.
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow')))
    await pause.waitFor({ state: 'detached' })
    await page.getByRole('region', { name: 'Stop the integration' }).getByRole('button', { name: 'Resume' }).waitFor()
  })

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
