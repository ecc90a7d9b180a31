// The operator’s pages: plugin versions, and what was set aside.

import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'node:test'

import { misbehaving, rebuilt } from './components.mjs'
import { begins, owner, press, said, toNavigation } from './pages.mjs'
import { scene } from './scene.mjs'
import { Project } from './world.mjs'

/** The first person of a host of the scene's own, who operates it; their project. */
async function operator(scene) {
  const { world, browser, page } = await owner(scene)
  await begins(page)
  await page.getByRole('navigation', { name: 'Main' }).waitFor()
  const token = await world.command('token', 'create', '--project', 'prj_1', '--role', 'admin')
  const project = new Project(world, { id: 'prj_1', name: 'Northwind', token })
  return { world, browser, page, project }
}

/** A user whom a contact of an account feeds; the account. */
async function fed(world, project) {
  const account = await world.account('northwind.example')
  await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
  const contact = await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
  const id = await project.connect(account, { contacts: { fields: [{ property: 'jobtitle', variable: 'job_title' }] } })
  await project.call('POST', `/connections/${id}/syncs`, { kind: 'full' })
  await shows(project, 'Engineer')
  await deliver(world, JSON.stringify([event(account, contact, 'Head of Product')]))
  await shows(project, 'Head of Product')
  return account
}

/** Waits until the user shows that title. */
async function shows(project, title) {
  for (let looked = 0; looked < 400; looked += 1) {
    const { variables } = await project.user('1')
    if (variables.job_title?.value === title) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`the user does not show ${title}`)
}

/** A change of a contact’s title, as HubSpot tells of it. */
function event(account, contact, title, more = {}) {
  return {
    eventId: Number(contact), subscriptionType: 'contact.propertyChange', portalId: account.portal, objectId: Number(contact),
    propertyName: 'jobtitle', propertyValue: title, occurredAt: Date.now(), ...more,
  }
}

/** Installs a component on the page of all versions. */
async function install(page, component, file) {
  await page.getByLabel('Component').setInputFiles({ name: file, mimeType: 'application/wasm', buffer: component })
  await page.getByRole('button', { name: 'Install', exact: true }).click()
}

/** Starts a shadow on a version's page, and waits until it has read all there is. */
async function shadow(page) {
  await page.getByRole('button', { name: 'Start a shadow' }).click()
  await page.getByRole('region', { name: 'What it would change' }).getByText('At the log’s end', { exact: true }).waitFor()
}

/** Installs and activates a component by the command line. */
async function activated(world, component) {
  const file = join(world.directory, 'candidate.wasm')
  await writeFile(file, component)
  const digest = await world.command('plugin', 'install', file)
  await world.command('plugin', 'activate', digest, '--force')
}

/** Sends a delivery as HubSpot does. */
async function deliver(world, body) {
  const url = `${world.url}/webhooks/hubspot`
  const moment = String(Date.now())
  const signature = createHmac('sha256', world.app.client_secret).update(`POST${url}${body}${moment}`).digest('base64')
  const headers = { 'content-type': 'application/json', 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': moment }
  const answer = await fetch(url, { method: 'POST', body, headers })
  if (answer.status !== 204) throw new Error(`a delivery was answered ${answer.status}`)
}

describe('operating', { concurrency: 2 }, () => {
  scene('a version is installed, shadowed, activated, gone back from and removed', async (scene) => {
    const { browser, page } = await operator(scene)
    await toNavigation(page, 'Plugins')
    await browser.see('operating/plugins')
    await install(page, Buffer.from('no component'), 'notes.wasm')
    await page.getByRole('alert').waitFor()
    await browser.see('operating/plugins-refused')

    await install(page, await rebuilt('other'), 'jimo_connect_hubspot.wasm')
    await page.getByRole('status').getByText('It is installed.').waitFor()
    await browser.see('operating/version-installed')
    await press(page, 'link', 'Activate…')
    await page.getByRole('checkbox', { name: /all the same/ }).waitFor()
    await browser.see('operating/activate-unseen')
    await page.getByRole('button', { name: 'Activate', exact: true }).click()
    await page.getByRole('alert').waitFor()
    await browser.see('operating/activate-refused')
    await page.getByRole('link', { name: 'Cancel' }).click()
    await shadow(page)
    await browser.see('operating/version-compared')
    await page.getByRole('link', { name: 'Activate…' }).click()
    await browser.see('operating/activate')
    await page.getByRole('textbox', { name: 'Why' }).fill('Reads dates of the new kind')
    await press(page, 'button', 'Activate')
    await page.getByRole('status').getByText('It is active.').waitFor()
    await browser.see('operating/version-active')
    await toNavigation(page, 'Plugins')
    await browser.see('operating/plugins-activated')

    await page.getByRole('link', { name: /^Go back to/ }).click()
    await browser.see('operating/rollback')
    await page.getByRole('textbox', { name: 'Why' }).fill('Customers miss values')
    await page.getByRole('button', { name: 'Go back', exact: true }).click()
    await page.getByRole('status').getByText('It is active again.').waitFor()
    await page.goto('/operator/plugins/rollback?connector=hubspot')
    await page.getByRole('heading', { name: 'There is no version to go back to' }).waitFor()
    await browser.see('operating/rollback-none')
    await toNavigation(page, 'Plugins')
    await page.getByRole('row', { name: /jimo_connect_hubspot.wasm/ }).getByRole('link').click()
    await page.getByRole('link', { name: 'Remove…' }).click()
    await browser.see('operating/remove')
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await page.getByRole('status').getByText('is removed').waitFor()
    await browser.see('operating/plugins-removed')
  })

  scene('what a version would change is shown as it is found, with whose it is', async (scene) => {
    const { world, browser, page, project } = await operator(scene)
    await fed(world, project)
    await toNavigation(page, 'Plugins')
    await install(page, await misbehaving('read otherwise'), 'otherwise.wasm')
    await shadow(page)
    const examples = page.getByRole('table', { name: 'Examples' })
    await examples.getByText('HEAD OF PRODUCT').first().waitFor()
    await examples.getByRole('link', { name: 'Ana Silva' }).first().waitFor()
    await browser.see('operating/version-differs')
    await page.getByRole('link', { name: 'Plugins' }).last().click()
    await said(page, 'shadows the active version').waitFor()
    await browser.see('operating/plugins-shadow')
    await page.getByRole('link', { name: 'See what it would change' }).click()
    await page.getByRole('button', { name: 'End the shadow' }).click()
    await page.getByRole('button', { name: 'Start a shadow' }).waitFor()
  })

  scene('what was set aside is found by its reason, looked at, and worked on again after a fix', async (scene) => {
    const { world, browser, page, project } = await operator(scene)
    const account = await fed(world, project)
    await toNavigation(page, 'Set aside')
    await said(page, 'Nothing is set aside.').first().waitFor()
    await browser.see('operating/set-aside-nothing')
    await activated(world, await misbehaving('nothing'))
    for (const [record, misbehave] of [[551, 'trap'], [552, 'hoard'], [553, 'trap'], [554, 'foreign record']]) {
      await deliver(world, JSON.stringify([event(account, record, 'Pilot', { misbehave, note: '<b>not bold</b> \u202e' })]))
    }
    await deliver(world, '[{"portalId": 1,]')
    await page.getByRole('link', { name: 'No. 5', exact: true }).waitFor()
    await browser.see('operating/set-aside')
    await page.getByRole('textbox', { name: 'Reason has in it' }).fill('memory')
    await page.getByRole('button', { name: 'Filter' }).click()
    await said(page, '1 of 5 set aside').waitFor()
    await browser.see('operating/set-aside-filtered')
    await page.getByRole('link', { name: /^No\. / }).click()
    await page.getByRole('region', { name: 'Its bytes' }).first().waitFor()
    await browser.see('operating/set-aside-one')

    await world.command('plugin', 'rollback')
    await press(page, 'button', 'Work on it again')
    await said(page, 'All of it is worked on').waitFor()
    await browser.see('operating/replay')
    await toNavigation(page, 'Set aside')
    await page.getByRole('button', { name: 'Work on all 4 again', exact: true }).click()
    await said(page, 'Not all of it could be worked on').waitFor()
    await browser.see('operating/replay-stayed')
    await page.getByRole('link', { name: 'See what stayed' }).click()
    await said(page, 'Failed again').waitFor()
    await browser.see('operating/set-aside-failed-again')
  })

  scene('operators are named by the command line, and whoever is none finds nothing', async (scene) => {
    const { world, page } = await operator(scene)
    await world.command('operator', 'revoke', 'ana@northwind.example')
    await page.reload()
    await page.getByRole('link', { name: 'Segments' }).waitFor()
    const link = page.getByRole('link', { name: 'Plugins', exact: true })
    if (await link.count()) throw new Error('the navigation leads to the plugins')
    await page.goto('/operator/plugins')
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
    await world.command('operator', 'grant', 'ana@northwind.example')
    await page.reload()
    await page.getByRole('heading', { name: 'Plugins', exact: true }).waitFor()
  })
})
