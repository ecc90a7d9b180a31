// People: the first one, those who are invited, what they may do, and how they sign in.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { grant, said, toNavigation } from './pages.mjs'
import { scene } from './scene.mjs'

const PASSWORD = 'correct horse battery'

/** The first person of a host of the scene's own, signed in. */
async function owner(scene) {
  const world = await scene.ownWorld()
  const browser = await scene.browser()
  const { page } = browser
  await page.goto(world.ownerLink())
  await page.getByRole('heading', { level: 1 }).waitFor()
  return { world, browser, page }
}

/** Fills in who begins, and with what. */
async function begins(page, password = PASSWORD) {
  const [project, you] = [page.getByRole('group', { name: 'Your project' }), page.getByRole('group', { name: 'You', exact: true })]
  await project.getByRole('textbox', { name: 'Name' }).fill('Northwind')
  await you.getByRole('textbox', { name: 'Name' }).fill('Ana Silva')
  await you.getByRole('textbox', { name: 'E-mail' }).fill('ana@northwind.example')
  await you.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Begin' }).click()
}

describe('members', { concurrency: 2 }, () => {
  scene('the first one names a project, invites others, and each signs in by a password', async (scene) => {
    const { browser, page } = await owner(scene)
    await browser.see('members/welcome')
    await begins(page, 'short')
    await said(page, /12 characters/).first().waitFor()
    await page.locator('[aria-invalid=true]').first().waitFor()
    await browser.see('members/welcome-with-a-short-password')
    await begins(page)
    await page.getByRole('navigation', { name: 'Main' }).waitFor()

    await toNavigation(page, 'Team')
    await page.getByRole('row', { name: /Ana Silva/ }).waitFor()
    await page.getByRole('button', { name: 'Make an invitation link' }).click()
    await page.locator('[aria-invalid=true]').waitFor()
    await browser.see('members/team-wrong-email')
    await page.getByRole('textbox', { name: 'E-mail' }).fill('ben@northwind.example')
    await page.getByRole('radio', { name: /Viewer/ }).check()
    await page.getByRole('button', { name: 'Make an invitation link' }).click()
    const link = await page.getByRole('textbox', { name: 'Link' }).inputValue()
    await browser.see('members/invited')

    const invited = await scene.browser()
    await invited.page.goto(link)
    await invited.page.getByRole('textbox', { name: 'Your name' }).waitFor()
    await invited.see('members/join')
    await invited.page.getByRole('textbox', { name: 'Your name' }).fill('Ben Okafor')
    await invited.page.getByLabel('Choose a password').fill(PASSWORD)
    await invited.page.getByRole('button', { name: 'Join' }).click()
    await toNavigation(invited.page, 'Team')
    // A viewer changes nothing.
    await said(invited.page, 'An admin of the project can invite others').waitFor()
    await invited.see('members/team-viewer')
    await invited.page.goto(link)
    await invited.page.getByRole('heading', { level: 1 }).waitFor()

    await toNavigation(page, 'Team')
    await page.getByRole('row', { name: /Ben Okafor/ }).waitFor()
    await browser.see('members/team')
    await page.getByRole('button', { name: 'New password link for Ben Okafor' }).click()
    const reset = await page.getByRole('textbox', { name: 'Link' }).inputValue()
    await browser.see('members/password-link')
    const forgot = await scene.browser()
    await forgot.page.goto(reset)
    await forgot.page.getByRole('heading', { name: 'Choose a new password' }).waitFor()
    await forgot.see('members/reset-password')
    await forgot.page.getByLabel('New password').fill('short')
    await forgot.page.getByRole('button', { name: 'Save and sign in' }).click()
    await forgot.page.locator('[aria-invalid=true]').waitFor()
    await forgot.see('members/reset-password-too-short')
    await forgot.page.getByLabel('New password').fill(`another ${PASSWORD}`)
    await forgot.page.getByRole('button', { name: 'Save and sign in' }).click()
    await forgot.page.getByRole('navigation', { name: 'Main' }).waitFor()
    await forgot.page.goto(reset)
    await forgot.page.getByRole('heading', { level: 1 }).waitFor()
    await forgot.see('members/used-password-link')

    await toNavigation(page, 'Team')
    await page.getByRole('link', { name: /Remove….*Ben/ }).click()
    await page.getByRole('heading', { name: 'Remove Ben Okafor?' }).waitFor()
    await browser.see('members/remove')
    await page.getByRole('button', { name: 'Remove' }).click()
    await invited.page.goto('/users')
    await invited.page.getByRole('heading', { name: 'Sign in' }).waitFor()

    await page.getByRole('link', { name: /^Account:/ }).click()
    await page.getByRole('heading', { level: 1, name: 'Account' }).waitFor()
    await browser.see('members/account')
    await page.getByRole('button', { name: 'Sign out everywhere' }).click()
    await page.getByLabel('E-mail').fill('ana@northwind.example')
    await page.getByLabel('Password').fill('not this one')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    await browser.see('signing-in/refused')
    await page.getByLabel('Password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('navigation', { name: 'Main' }).waitFor()
  })

  scene('who has an account joins other projects with it, switches between them, and connects the one that they choose', async (scene) => {
    const { world, browser, page } = await owner(scene)
    await begins(page)
    await page.getByRole('navigation', { name: 'Main' }).waitFor()
    /** An invitation of that project for the same address. */
    const invite = async (name) => {
      const project = await world.project(name)
      const host = await scene.signedIn(project)
      await toNavigation(host.page, 'Team')
      await host.page.getByRole('textbox', { name: 'E-mail' }).fill('ana@northwind.example')
      await host.page.getByRole('radio', { name: /Admin/ }).check()
      await host.page.getByRole('button', { name: 'Make an invitation link' }).click()
      return host.page.getByRole('textbox', { name: 'Link' }).inputValue()
    }
    const elsewhere = await scene.browser()
    await elsewhere.page.goto(await invite('Southwind'))
    await said(elsewhere.page, 'You have an account. Sign in to join.').waitFor()
    await elsewhere.see('members/join-with-an-account')
    await elsewhere.page.getByLabel('Password').fill('not this one at all')
    await elsewhere.page.getByRole('button', { name: 'Sign in and join' }).click()
    await elsewhere.page.locator('[aria-invalid=true]').waitFor()
    await elsewhere.see('members/join-with-a-wrong-password')
    await elsewhere.page.getByLabel('Password').fill(PASSWORD)
    await elsewhere.page.getByRole('button', { name: 'Sign in and join' }).click()
    await elsewhere.page.locator('.switch summary').getByText('Southwind').waitFor()

    await page.goto(await invite('Eastwind'))
    await said(page, 'You are signed in as ana@northwind.example.').waitFor()
    await browser.see('members/join-signed-in')
    await page.getByRole('button', { name: 'Join' }).click()
    await page.locator('.switch summary').getByText('Eastwind').click()
    await page.getByRole('button', { name: 'Northwind' }).waitFor()
    await browser.see('members/switch-project')
    await page.getByRole('button', { name: 'Northwind' }).click()
    await page.locator('.switch summary').getByText('Northwind').waitFor()

    const account = await world.account('northwind.example')
    await page.goto(await world.marketplaceLink())
    await grant(page, account)
    await page.getByRole('combobox', { name: 'Project' }).selectOption({ label: 'Southwind' })
    await browser.see('connecting/one-of-several-projects')
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await page.locator('.switch summary').getByText('Southwind').waitFor()
  })

  scene('a project is renamed, and tokens for the API are made once shown and revoked', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toNavigation(page, 'General')
    await browser.see('members/general')
    await page.getByRole('textbox', { name: 'Name' }).fill('Southwind')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('status').getByText('Saved').waitFor()

    await toNavigation(page, 'API tokens')
    await page.getByRole('textbox', { name: 'Name' }).fill('backend')
    await page.getByRole('button', { name: 'Make a token' }).click()
    const token = await page.getByRole('textbox', { name: 'Token' }).inputValue()
    await browser.see('members/token-made')
    const headers = { authorization: `Bearer ${token}` }
    const users = `${scene.world.url}/api/v1/projects/${project.id}/users`
    assert.equal((await fetch(users, { headers })).status, 200)
    await toNavigation(page, 'API tokens')
    assert.equal(await page.getByText(token).count(), 0)
    await browser.see('members/tokens')
    await page.getByRole('row', { name: /backend/ }).getByRole('button', { name: /Revoke/ }).click()
    await page.getByRole('row', { name: /backend/ }).waitFor({ state: 'detached' })
    assert.equal((await fetch(users, { headers })).status, 401)
    await page.getByRole('link', { name: /^Account:/ }).click()
    await page.getByRole('heading', { name: 'Signed in by a link' }).waitFor()
    await browser.see('members/account-by-link')
  })
})
