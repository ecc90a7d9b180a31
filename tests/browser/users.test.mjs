// Users, and what the profile of one shows, live.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { said } from './pages.mjs'
import { scene } from './scene.mjs'

const MAPPINGS = {
  contacts: {
    fields: [
      { property: 'jobtitle', variable: 'job_title' },
      { property: 'lifecyclestage', variable: 'lifecycle_stage', show: 'label' },
    ],
  },
}

describe('users', { concurrency: 2 }, () => {
  scene('a project without users says how they come', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.signedIn(project)
    await browser.page.getByRole('heading', { name: 'No users yet' }).waitFor()
    await browser.see('users/none')
  })

  scene('users are listed and found by a part of name, email or id', async (scene) => {
    const [project] = await scene.sides()
    const users = Array.from({ length: 120 }, (_, n) => ({
      external_id: `user-${n}`, email: `person${n}@northwind.example`, name: `Person ${n}`,
    }))
    await project.users(...users, { external_id: 'nobody' })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.getByRole('heading', { level: 1, name: 'Users 121' }).waitFor()
    await browser.see('users/list')
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByRole('link', { name: 'Previous page' }).waitFor()
    await page.getByRole('searchbox').fill('person117')
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'Person 117' }).waitFor()
    assert.equal(await page.getByRole('rowheader').count(), 1)
    await browser.see('users/found')
    await page.getByRole('searchbox').fill('zzz')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'No user matches “zzz”' }).waitFor()
    await browser.see('users/none-found')
  })

  scene('a change in HubSpot shows on the open profile by itself, with its source', async (scene) => {
    const [project, account] = await scene.sides()
    const [user] = await project.users({ external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' })
    const contact = await account.create('contacts', { email: 'ana@northwind.example' })
    await project.connect(account, MAPPINGS)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(`/users/${user}`)
    await said(page, 'This page updates by itself', { exact: true }).waitFor()
    await browser.see('users/profile-nothing-synced')
    await account.change('contacts', contact, { jobtitle: 'Head of Product', lifecyclestage: 'customer' })
    const row = page.getByRole('row', { name: /job_title/ })
    await row.getByRole('cell', { name: 'Head of Product' }).waitFor()
    await row.getByText('HubSpot').waitFor()
    await row.getByText('jobtitle').waitFor()
    await row.getByRole('link', { name: `Contact ${contact}` }).waitFor()
    await page.getByRole('cell', { name: 'Customer', exact: true }).waitFor()
    await page.getByRole('status').getByText(/is now/).waitFor({ state: 'attached' })
    await browser.see('users/profile')
    await account.change('contacts', contact, { jobtitle: '' })
    await row.waitFor({ state: 'detached' })
  })

  scene('a line that breaks is seen and read out, and the next answer takes its place', async (scene) => {
    const [project] = await scene.sides()
    await project.users({ external_id: '1', email: 'eva@northwind.example', name: 'Éva Szabó' })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto('/users')
    await page.getByRole('row', { name: /Éva/ }).waitFor()
    await browser.breakLine('**/users?*')
    const box = page.getByRole('searchbox')
    await box.fill('nobody')
    const told = 'The host does not answer. Try again.'
    await said(page, told).waitFor()
    await browser.readOut().getByText(told).waitFor({ state: 'attached' })
    // What was there still is.
    await page.getByRole('row', { name: /Éva/ }).waitFor()
    await browser.see('users/line-broken')
    await page.unroute('**/users?*')
    await box.fill('éva')
    await said(page, '1 user found').waitFor()
    assert.equal(await said(page, told).count(), 0)
  })

  scene('a user who is not there is said to be not there', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto('/users/usr_999999')
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.getByRole('link', { name: 'Go to Users' }).waitFor()
    await browser.see('users/not-there')
    await page.goto('/nowhere')
    await page.getByRole('heading', { level: 1 }).waitFor()
    await browser.see('no-such-page')
  })
})
