// The whole way: from an empty project to a segment that follows HubSpot.

import { describe } from 'node:test'

import {
  begin, comes, connect, connectionPath, grant, press, said, tabTo, toNavigation,
} from './pages.mjs'
import { scene } from './scene.mjs'

/** A project whose product has three users, of whom HubSpot knows two. */
async function sides(scene) {
  const [project, account] = await scene.sides()
  await project.users(
    { external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva' },
    { external_id: '2', email: 'ben@northwind.example', name: 'Ben Okafor' },
    { external_id: '3', email: 'gina@elsewhere.example', name: 'Gina Rossi' },
  )
  await account.create('contacts', { email: 'ana@northwind.example', lifecyclestage: 'customer' })
  const ben = await account.create('contacts', { email: 'ben@northwind.example', lifecyclestage: 'lead' })
  return { project, account, ben }
}

describe('setting up', { concurrency: 2 }, () => {
  scene('HubSpot is enabled, matched, mapped and synced, and a segment targets what it says and follows it', async (scene) => {
    const { project, account, ben } = await sides(scene)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await connect(page, account)

    await page.getByRole('link', { name: 'Choose the matching field' }).click()
    const found = page.getByRole('main').locator('.count').filter({ hasText: 'match' })
    await found.getByText('2', { exact: true }).waitFor()
    await browser.see('setting-up/1-matching')
    await page.getByRole('button', { name: 'Use this' }).click()
    await page.getByRole('link', { name: 'Add fields of contacts' }).waitFor()
    await browser.see('setting-up/2-no-fields')
    await page.getByRole('link', { name: 'Add fields of contacts' }).click()
    await page.getByRole('heading', { name: 'Add fields of contacts' }).waitFor()
    await browser.see('setting-up/3-properties')
    await page.getByRole('searchbox').fill('lifecycle')
    const stage = page.getByRole('listitem').filter({ hasText: 'lifecyclestage' })
    await page.getByRole('status').filter({ hasText: /propert/ }).waitFor({ state: 'attached' })
    await stage.getByRole('combobox', { name: /^Attribute for/ }).fill('lifecycle_stage')
    await stage.getByRole('button', { name: /^Add/ }).click()
    await said(page, '1 change is not saved yet').waitFor()
    await browser.see('setting-up/4-field-added')
    await page.getByRole('link', { name: 'Review and save' }).click()
    await said(page, 'users would have a contact').waitFor()
    await browser.see('setting-up/5-review')
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await said(page, 'nothing old was filled in').waitFor()
    await browser.see('setting-up/6-fields-saved')

    await page.getByRole('link', { name: 'Run a full sync' }).click()
    await begin(page, 'Run full sync')
    await comes(page, 'Completed')

    await toNavigation(page, 'Segments')
    await browser.see('setting-up/7-no-segments')
    await page.getByRole('link', { name: 'Build the first one' }).click()
    const rule = page.getByRole('group', { name: 'Rule 1' })
    await rule.getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'lifecycle_stage' })
    await rule.getByText('Synced from HubSpot').waitFor({ state: 'attached' })
    await rule.getByRole('textbox', { name: 'Value' }).fill('customer')
    await said(page, 'of 3 users').waitFor()
    await page.getByRole('link', { name: 'Ana Silva' }).waitFor()
    await page.getByRole('textbox', { name: 'Name' }).fill('Customers')
    await browser.see('setting-up/8-segment')
    await page.getByRole('button', { name: 'Save segment' }).click()
    await page.getByRole('status').getByText('Saved').waitFor()
    await browser.see('setting-up/9-segment-saved')

    await toNavigation(page, 'Segments')
    await page.getByRole('row', { name: 'Customers' }).getByText('1 user').waitFor()
    await account.change('contacts', ben, { lifecyclestage: 'customer' })
    await page.getByRole('row', { name: 'Customers' }).getByText('2 users').waitFor()
    await browser.see('setting-up/10-segments')
  })

  scene('all of it can be done with the keyboard alone', async (scene) => {
    const { project, account } = await sides(scene)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.keyboard.press('Tab')
    await page.getByRole('link', { name: 'Skip to content' }).waitFor()
    await press(page, 'link', 'Integrations')
    await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor()
    await press(page, 'button', 'Enable')
    await page.getByRole('heading', { name: 'Simulated HubSpot' }).waitFor()
    // HubSpot's own page is not ours to reach by the keyboard.
    await grant(page, account)
    await press(page, 'button', 'Connect')
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await press(page, 'link', 'Choose the matching field')
    await page.getByRole('button', { name: 'Use this' }).waitFor()
    await press(page, 'button', 'Use this')
    await page.getByRole('link', { name: 'Add fields of contacts' }).waitFor()
    await press(page, 'link', 'Add fields of contacts')
    await page.getByRole('heading', { name: 'Add fields of contacts' }).waitFor()
    await tabTo(page, 'searchbox', 'Search by label or name')
    await page.keyboard.type('jobtitle')
    await page.getByRole('listitem').filter({ hasText: 'lifecyclestage' }).waitFor({ state: 'detached' })
    await press(page, 'button', 'Add Job Title')
    await said(page, '1 change is not saved yet').waitFor()
    await press(page, 'link', 'Review and save')
    await said(page, 'users would have a contact').waitFor()
    await press(page, 'button', 'Save')
    await said(page, 'nothing old was filled in').waitFor()
    await press(page, 'link', 'Run a full sync')
    await page.getByRole('heading', { name: 'Run a full sync' }).waitFor()
    await press(page, 'button', 'Run full sync')
    await comes(page, 'Completed')
    await press(page, 'link', 'Segments')
    await press(page, 'link', 'Build the first one')
    await tabTo(page, 'combobox', 'Attribute')
    await page.keyboard.type('job')
    await page.getByRole('combobox', { name: 'Operator' }).waitFor()
    await tabTo(page, 'combobox', 'Operator')
    await page.keyboard.type('is empty')
    await said(page, 'of 3 users').waitFor()
    await tabTo(page, 'textbox', 'Name')
    await page.keyboard.type('Without a job title')
    await press(page, 'button', 'Save segment')
    await page.getByRole('status').getByText('Saved').waitFor()
  })

  scene('all of it works in a browser without scripts', async (scene) => {
    const { project, account } = await sides(scene)
    const browser = await scene.signedIn(project, 'admin', { javaScriptEnabled: false })
    const { page } = browser
    const id = await connect(page, account)
    await page.getByRole('link', { name: 'Choose the matching field' }).click()
    await page.getByRole('button', { name: 'See how many users it matches' }).click()
    await page.getByRole('button', { name: 'Use this' }).click()
    await page.getByRole('link', { name: 'Add fields of contacts' }).click()
    await page.getByRole('searchbox').fill('lifecycle')
    await page.getByRole('button', { name: 'Search' }).click()
    const stage = page.getByRole('listitem').filter({ hasText: 'lifecyclestage' })
    await stage.getByRole('combobox', { name: /^Attribute for/ }).fill('lifecycle_stage')
    await stage.getByRole('button', { name: /^Add/ }).click()
    await page.getByRole('link', { name: 'Review and save' }).click()
    await page.getByRole('link', { name: 'See what it would write on some of your users' }).click()
    await said(page, 'users would have a contact').waitFor()
    await page.getByRole('link', { name: 'Back', exact: true }).click()
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.goto(connectionPath(id, '/syncs'))
    await page.getByRole('link', { name: 'What will it cost, and how long will it take?' }).click()
    await said(page, 'A full sync takes about').waitFor()
    await page.getByRole('link', { name: 'Back', exact: true }).click()
    await begin(page, 'Run full sync')
    while (await page.getByText('Completed').count() === 0) await page.reload()
    await toNavigation(page, 'Segments')
    await page.getByRole('link', { name: 'Build the first one' }).click()
    await page.getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'lifecycle_stage' })
    await page.getByRole('button', { name: 'Update the rules and the count' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('customer')
    await page.getByRole('button', { name: 'Update the rules and the count' }).click()
    await page.getByRole('link', { name: 'Ana Silva' }).waitFor()
    await page.getByRole('textbox', { name: 'Name' }).fill('Customers')
    await page.getByRole('button', { name: 'Save segment' }).click()
    await page.getByRole('heading', { level: 1, name: 'Customers' }).waitFor()
  })
})
