// The condition builder: over the users, and for segments.

import { describe } from 'node:test'

import { said, toNavigation } from './pages.mjs'
import { scene } from './scene.mjs'

/** A project with variables of all types. */
async function people(scene) {
  const [project] = await scene.sides()
  const types = { plan: 'text', seats: 'number', trial: 'boolean', renewal: 'date', seen: 'datetime', tools: 'list' }
  for (const [name, type] of Object.entries(types)) await project.call('POST', '/variables', { name, type })
  await project.users(
    { external_id: '1', email: 'ana@northwind.example', name: 'Ana Silva', variables: { plan: 'Team', seats: 12, trial: false, tools: ['Slack', 'Jira'] } },
    { external_id: '2', email: 'ben@northwind.example', name: 'Ben Okafor', variables: { plan: 'Free', seats: 1, trial: true } },
    { external_id: '3', name: 'Gina Rossi' },
  )
  return { project, browser: await scene.signedIn(project) }
}

describe('segments', { concurrency: 2 }, () => {
  scene('conditions are built in groups, counted as they are typed, saved, and used in another segment', async (scene) => {
    const { browser } = await people(scene)
    const { page } = browser
    await page.goto('/segments/new')
    const rule = (number) => page.getByRole('group', { name: `Rule ${number}`, exact: true })
    await rule(1).getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'plan' })
    await rule(1).getByRole('textbox', { name: 'Value' }).fill('team')
    await said(page, 'of 3 users').waitFor()
    await page.getByRole('button', { name: 'Add a group' }).click()
    const group = page.getByRole('group', { name: 'Group' }).last()
    await group.getByRole('combobox', { name: 'Attribute' }).or(group.getByRole('button', { name: 'Add a rule' })).first().waitFor()
    if (await group.getByRole('combobox', { name: 'Attribute' }).count() === 0) {
      await group.getByRole('button', { name: 'Add a rule' }).click()
    }
    await rule(2).getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'seats' })
    await rule(2).getByRole('combobox', { name: 'Operator' }).waitFor()
    await rule(2).getByRole('textbox', { name: 'Value' }).fill('many')
    await page.locator('.rule .error').waitFor()
    await browser.see('segments/value-does-not-fit')
    await rule(2).getByRole('textbox', { name: 'Value' }).fill('12')
    await page.locator('.rule .error').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Ana Silva' }).waitFor()
    await browser.see('segments/building')
    await page.getByRole('button', { name: 'Save segment' }).click()
    await page.locator('[aria-invalid=true]').waitFor()
    await browser.see('segments/without-a-name')
    await page.getByRole('textbox', { name: 'Name' }).fill('Teams')
    // Enter is as good as the button.
    await page.keyboard.press('Enter')
    await page.getByRole('status').getByText('Saved').waitFor()

    await page.goto('/segments/new')
    await rule(1).getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'Another segment' })
    await rule(1).getByRole('combobox', { name: 'Segment' }).selectOption({ label: 'Teams' })
    await page.getByRole('link', { name: 'Ana Silva' }).waitFor()
    await page.getByRole('textbox', { name: 'Name' }).fill('Teams again')
    await page.getByRole('button', { name: 'Save segment' }).click()
    await page.getByRole('status').getByText('Saved').waitFor()
    await toNavigation(page, 'Segments')
    await page.getByRole('link', { name: 'Teams', exact: true }).click()
    await said(page, 'Other segments use this one').waitFor()
    await page.getByRole('link', { name: 'Delete…' }).click()
    await said(page, 'Another segment uses').waitFor()
    await browser.see('segments/in-use')
    await page.getByRole('link', { name: 'Teams again' }).click()
    await page.getByRole('link', { name: 'Delete…' }).click()
    await page.getByRole('heading', { name: 'Delete “Teams again”?' }).waitFor()
    await browser.see('segments/delete')
    await page.getByRole('button', { name: 'Delete segment' }).click()
    await page.getByRole('heading', { level: 1, name: 'Segments' }).waitFor()
    await page.getByRole('row', { name: /Teams again/ }).waitFor({ state: 'detached' })
  })

  scene('users are filtered by conditions, and the filter becomes a segment', async (scene) => {
    const { browser } = await people(scene)
    const { page } = browser
    await page.getByRole('button', { name: 'Add a filter' }).click()
    const rule = page.getByRole('group', { name: 'Rule 1', exact: true })
    await rule.getByRole('combobox', { name: 'Attribute' }).selectOption({ label: 'trial' })
    await rule.getByRole('combobox', { name: 'Operator' }).selectOption({ label: 'is true' })
    await page.getByRole('link', { name: 'Ana Silva' }).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Ben Okafor' }).waitFor()
    await browser.see('users/filtered')
    await page.getByRole('link', { name: 'Save as segment…' }).click()
    await page.getByRole('textbox', { name: 'Name' }).fill('On trial')
    await page.getByRole('button', { name: 'Save segment' }).click()
    await page.getByRole('status').getByText('Saved').waitFor()
    await page.getByRole('link', { name: 'See its users' }).click()
    await page.getByRole('link', { name: 'Ben Okafor' }).click()
    await page.getByRole('heading', { name: 'Ben Okafor' }).waitFor()
    await page.getByRole('navigation', { name: 'Profile' }).getByRole('link', { name: 'Segments' }).click()
    await page.getByRole('link', { name: 'On trial' }).waitFor()
    await browser.see('users/profile-segments')
  })

  scene('a viewer sees a segment, and cannot change it', async (scene) => {
    const { project } = await people(scene)
    const { id } = await project.call('POST', '/segments', {
      name: 'Teams', conditions: { variable: 'plan', operator: 'is', value: 'Team' },
    })
    const viewer = await scene.signedIn(project, 'viewer')
    await viewer.page.goto(`/segments/${id}`)
    await said(viewer.page, 'You can look, but not change it').waitFor()
    await viewer.see('segments/viewer')
  })
})
