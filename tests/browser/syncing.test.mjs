// Full syncs and catch-ups: what they cost, how far they are, what they did and skipped.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { begin, comes, connectionPath, said, tab } from './pages.mjs'
import { scene } from './scene.mjs'

const MAPPINGS = {
  contacts: {
    fields: [
      { property: 'jobtitle', variable: 'job_title' },
      { property: 'city', variable: 'city' },
    ],
  },
}

describe('syncing', { concurrency: 2 }, () => {
  scene('a full sync tells its cost, is rehearsed, run and summed up, and each reason leads to its records', async (scene) => {
    const [project, account] = await scene.sides()
    await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Head of Product', city: 'Lisbon' })
    const stranger = await account.create('contacts', { email: 'zoe@elsewhere.example', jobtitle: 'Pilot' })
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id))
    await browser.see('connection/overview-mapped')
    await tab(page, 'Full sync').click()
    await said(page, 'A full sync takes about').waitFor()
    await browser.see('syncing/before')
    // On a narrow screen the tab that is shown is in sight, though others come first.
    await page.setViewportSize({ width: 360, height: 780 })
    const middle = await tab(page, 'Full sync').evaluate((link) => {
      const { left, right } = link.getBoundingClientRect()
      return (left + right) / 2
    })
    assert.ok(middle > 0 && middle < 360, `the tab is at ${middle}`)
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.goto(connectionPath(id, '/syncs/estimate'))
    await browser.see('syncing/estimate-without-scripts')
    await page.getByRole('link', { name: 'Back', exact: true }).click()

    await begin(page, 'Dry run')
    await comes(page, 'Completed')
    await page.getByRole('heading', { name: 'What it would do' }).waitFor()
    await browser.see('syncing/dry-run')
    assert.equal((await project.user('1')).variables.job_title, undefined)

    await tab(page, 'Full sync').click()
    await begin(page, 'Run full sync')
    await comes(page, 'Completed')
    await browser.see('syncing/completed')
    assert.equal((await project.user('1')).variables.job_title.value, 'Head of Product')

    await page.getByRole('link', { name: 'No Jimo user matches' }).click()
    await page.getByRole('rowheader', { name: `Contact ${stranger}` }).waitFor()
    await browser.see('syncing/records-of-a-reason')
    await page.getByRole('link', { name: 'Back to the run' }).click()
    await page.getByRole('heading', { name: 'Full sync' }).waitFor()

    await tab(page, 'Full sync').click()
    await begin(page, 'Catch up now')
    await comes(page, 'Completed')
    await tab(page, 'Full sync').click()
    for (const run of ['Catch-up', 'Full sync', 'Dry run']) {
      await page.getByRole('rowheader', { name: run }).waitFor()
    }
    await said(page, 'A full sync takes about').waitFor()
    await browser.see('syncing/history')
  })

  scene('while HubSpot is slow, the page says what it waits for, a run shows how far it is, and can be cancelled', async (scene) => {
    const world = await scene.ownWorld()
    const project = await world.project('Northwind')
    const account = await world.account('northwind.example')
    const users = Array.from({ length: 300 }, (_, n) => ({ external_id: `${n}`, email: `p${n}@northwind.example` }))
    await project.users(...users)
    for (const { email } of users) await account.create('contacts', { email, city: 'Lisbon' })
    const id = await project.connect(account, MAPPINGS)
    await world.simulate('POST', '/webhooks/settle')
    const browser = await scene.signedIn(project)
    const { page } = browser
    await world.simulate('POST', '/faults', { trouble: 'held' })
    await page.goto(connectionPath(id, '/syncs'))
    await said(page, 'Asking HubSpot how much there is…').waitFor()
    await browser.see('syncing/waiting-for-the-estimate')
    await begin(page, 'Run full sync')
    await page.getByRole('progressbar').waitFor()
    await browser.see('syncing/begun')
    await page.goto(connectionPath(id, '/syncs'))
    await said(page, 'One is under way').waitFor()
    await browser.see('syncing/under-way')
    await page.getByRole('link', { name: 'See how far it is' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await world.simulate('DELETE', '/faults')
    await comes(page, 'Cancelled')
    await browser.see('syncing/cancelled')
    await world.simulate('POST', '/faults', { trouble: 'held' })
    await begin(page, 'Run again')
    await page.getByRole('button', { name: 'Cancel' }).waitFor()
    await page.locator('[data-live-state=live]').waitFor()
    assert.equal(await browser.readOut().textContent(), '')
    await world.simulate('DELETE', '/faults')
    await comes(page, 'Completed')
    // Numbers on the way are not read out, that it is over is.
    await browser.readOut().getByText('Full sync: Completed.', { exact: true }).waitFor({ state: 'attached' })
    await page.getByRole('region', { name: 'What it did' }).getByText('300').first().waitFor()
  })

  scene('a sync that HubSpot does not answer says so, and when it is asked again', async (scene) => {
    const world = await scene.ownWorld({ HUBSPOT_JOURNAL: 'off' })
    const [project, account] = await scene.sides()
    await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await account.fault(undefined, { status: 502 })
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Run full sync')
    await said(page, 'Waits for HubSpot', { exact: true }).waitFor()
    await said(page, 'The next try:').waitFor()
    await browser.see('syncing/not-answered')
    await tab(page, 'Health').click()
    await page.getByRole('heading', { name: 'HubSpot does not answer' }).waitFor()
    await browser.see('health/not-answered')
    await world.simulate('DELETE', '/faults')
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
  })

  scene('a sync that lacks a permission says what it could not do, and the connection says so too', async (scene) => {
    const [project, account] = await scene.sides()
    await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
    const id = await project.connect(account, { ...MAPPINGS, deals: { fields: [{ property: 'dealname', variable: 'deal' }] } })
    await account.call('POST', '/drop-scope', { scope: 'crm.objects.deals.read' })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Catch up now')
    await comes(page, 'Not complete')
    await page.getByRole('heading', { name: 'Not all of it could be done' }).waitFor()
    await browser.see('syncing/not-complete')
    await tab(page, 'Health').click()
    await page.getByRole('heading', { level: 3, name: 'Permissions are missing' }).waitFor()
    await said(page, 'The last one failed.').waitFor()
    await browser.see('health/missing-scope')
    await page.goto(connectionPath(id))
    await page.getByRole('heading', { name: /HubSpot needs attention/ }).waitFor()
    await browser.see('connection/missing-scope')
  })

  scene('a catch-up says what live updates had missed, and the proof names what differs', async (scene) => {
    const world = await scene.ownWorld({ HUBSPOT_JOURNAL: 'off' })
    await world.simulate('PUT', '/webhooks', { knobs: { loss: 1 } })
    const [project, account] = await scene.sides()
    await project.users(
      { external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' },
      { external_id: '2', email: 'ben@northwind.example', name: 'Ben Okafor' },
    )
    const ana = await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer', city: 'Lisbon' })
    await account.create('contacts', { email: 'ben@northwind.example', jobtitle: 'Pilot', city: 'Porto' })
    const [title, city] = MAPPINGS.contacts.fields
    const id = await project.connect(account, { contacts: { fields: [title] } })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Run full sync')
    await comes(page, 'Completed')
    // Nothing fills a field that is new, and nobody tells of what changes.
    await project.call('PUT', `/connections/${id}/mappings`, { contacts: { fields: [title, city] } })
    await account.change('contacts', ana, { jobtitle: 'Head of Product' })
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Catch up now')
    await comes(page, 'Completed')
    await page.getByRole('region', { name: 'What live updates had missed' }).waitFor()
    await browser.see('syncing/catch-up-missed')
    await tab(page, 'Health').click()
    await said(page, 'One record that live updates had missed updated users.').waitFor()
    await page.getByRole('table', { name: 'Values that differ' }).getByText('city').first().waitFor()
    await page.getByRole('heading', { name: 'Nothing is broken' }).waitFor()
    await page.getByRole('link', { name: 'Ben Okafor' }).first().waitFor()
    await browser.see('health/missed-and-differing')
  })

  scene('where HubSpot does not answer, what a full sync costs is not made up', async (scene) => {
    const world = await scene.ownWorld()
    const project = await world.project('Northwind')
    const account = await world.account('northwind.example')
    const id = await project.connect(account, MAPPINGS)
    await world.simulate('POST', '/faults', { trouble: { status: 502 } })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/syncs'))
    await said(page, 'What it takes is not known now').waitFor()
    await browser.see('syncing/cost-not-known')
    await world.simulate('DELETE', '/faults')
    await page.getByRole('link', { name: 'Ask again' }).click()
    await said(page, 'A full sync takes about').waitFor()
  })

  scene('a run that would clear the values of many is held, with its reason, and goes on when it is told to', async (scene) => {
    // Where nothing live tells of it, the next run finds out.
    const world = await scene.ownWorld({ HUBSPOT_JOURNAL: 'off' })
    await world.simulate('PUT', '/webhooks', { knobs: { loss: 1 } })
    const [project, account] = await scene.sides()
    const users = Array.from({ length: 120 }, (_, n) => ({ external_id: `${n}`, email: `p${n}@northwind.example` }))
    await project.users(...users)
    const contacts = []
    for (const { email } of users) contacts.push(await account.create('contacts', { email, jobtitle: 'Pilot', city: 'Lisbon' }))
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Run full sync')
    await comes(page, 'Completed')
    for (const contact of contacts) await account.change('contacts', contact, { jobtitle: '', city: '' })
    await tab(page, 'Full sync').click()
    await begin(page, 'Run full sync')
    await said(page, 'It stopped to ask you').waitFor()
    // Whom it is about has a name, here and among what needs somebody.
    const person = page.getByRole('main').getByRole('link', { name: /^p\d+@northwind\.example$/ }).first()
    await person.waitFor()
    await browser.see('syncing/held')
    const run = page.url()
    // Its connection asks: on its head, above its pages, and on its card.
    await tab(page, 'Overview').click()
    await said(page, 'Asks you').waitFor()
    const banner = page.getByRole('region', { name: /HubSpot asks before it goes on/ })
    await banner.getByText(/A full sync is held: .* of 120 users/).waitFor()
    await browser.see('connection/held-run')
    await page.goto('/settings/integrations')
    await said(page, 'Asks you').waitFor()
    await banner.getByRole('link', { name: 'See the sync' }).click()
    await said(page, 'It stopped to ask you').waitFor()
    await tab(page, 'Health').click()
    await page.getByRole('heading', { name: 'One thing needs you' }).waitFor()
    await person.waitFor()
    await browser.see('health/held-run')
    await page.goto(run)
    await page.getByRole('button', { name: 'Go on' }).click()
    await comes(page, 'Completed')
    assert.equal((await project.user('7')).variables.job_title, undefined)
  })
})
