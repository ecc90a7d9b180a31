// How a connection fares, what happened and why, and where alerts go.

import { describe } from 'node:test'

import { begin, comes, connectionPath, said, tab } from './pages.mjs'
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

  scene('values that cannot be read, and values that would go, are told while they come, and the brake lets go', async (scene) => {
    const [project, account] = await scene.sides()
    const emails = Array.from({ length: 130 }, (_, n) => `p${n}@northwind.example`)
    await project.users(...emails.map((email, n) => ({ external_id: `${n}`, email, name: `Person ${n}` })))
    const contacts = []
    for (const email of emails) contacts.push(await account.create('contacts', { email, jobtitle: 'Engineer' }))
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/syncs'))
    await begin(page, 'Run full sync')
    await comes(page, 'Completed')
    await tab(page, 'Health').click()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    await page.locator('[data-live-state=live]').waitFor()
    const tooLong = 'x'.repeat(701)
    for (const contact of contacts.slice(0, 40)) await account.change('contacts', contact, { jobtitle: tooLong })
    await page.getByRole('heading', { level: 3, name: 'Many values cannot be read' }).waitFor()
    await browser.readOut().getByText('Many values cannot be read.').waitFor({ state: 'attached' })
    await browser.see('health/unreadable')
    for (const contact of contacts.slice(1)) await account.change('contacts', contact, { jobtitle: '' })
    const held = page.getByRole('button', { name: 'Let it go on' })
    await held.waitFor()
    await page.getByRole('link', { name: /^Person \d+$/ }).first().waitFor()
    await browser.see('health/held')
    await page.goto(connectionPath(id))
    await browser.see('connection/held')
    await page.goto(connectionPath(id, '/health'))
    await held.click()
    await held.waitFor({ state: 'detached' })
  })

  scene('changes that wait for a quarter of an hour are late', async (scene) => {
    const world = await scene.ownWorld({ isTurned: true })
    const [project, account] = await scene.sides()
    await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    const id = await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/health'))
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    await account.fault('batch_read', { status: 503 })
    await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer' })
    await world.simulate('POST', '/webhooks/settle')
    const late = page.getByRole('heading', { level: 3, name: 'Changes arrive late' })
    for (let minutes = 0; minutes < 30 && !(await late.isVisible()); minutes += 2) {
      await world.turn(2)
      await page.reload()
    }
    await late.waitFor()
    await browser.see('health/late')
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
    await said(page, 'HMAC-SHA256').waitFor()
    await browser.see('alerts/added')
    await page.getByRole('button', { name: /Send a test/ }).click()
    await page.locator('.banner[role=status]').waitFor()
    await browser.see('alerts/tested')
    await page.getByRole('button', { name: /^Remove/ }).click()
    await said(page, 'Nowhere yet').waitFor()
  })
})
