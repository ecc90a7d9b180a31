// What people do on the pages, told once.

import assert from 'node:assert/strict'

/** Opens a sign-in link, and confirms. */
export async function signIn(page, link) {
  await page.goto(link)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('navigation', { name: 'Main' }).waitFor()
}

/** Goes where the navigation leads by that name. */
export async function toNavigation(page, name) {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name, exact: true }).click()
  await page.getByRole('heading', { level: 1, name }).waitFor()
}

/** Goes to the integrations. */
export function toIntegrations(page) {
  return toNavigation(page, 'Integrations')
}

/** Enables HubSpot, up to HubSpot's consent page. */
export async function toConsent(page, press = 'Enable') {
  await page.getByRole('button', { name: press, exact: true }).click()
  await page.getByRole('heading', { name: 'Simulated HubSpot' }).waitFor()
}

/** Chooses an account on HubSpot's consent page. */
export function grant(page, account) {
  return page.getByRole('button', { name: account.label }).click()
}

/** Enables HubSpot and connects an account; the connection's id. */
export async function connect(page, account) {
  await toIntegrations(page)
  await toConsent(page)
  await grant(page, account)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
  return connectionOf(page)
}

/** Has a form be under way, as it is between a press and the page that comes of it. */
export async function underWay(form) {
  // Were it really sent, the library would wait for that page.
  await form.evaluate((form) => {
    const [submitter] = form.querySelectorAll('button')
    form.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true, submitter }))
  })
  assert.equal(await form.getAttribute('aria-busy'), 'true')
}

/** Something that the page says, and not what is read out of it. */
export function said(page, text, options) {
  return page.getByRole('main').getByText(text, options)
}

/** Begins a run by that button, and is on its page. */
export async function begin(page, button) {
  await page.getByRole('button', { name: button, exact: true }).click()
  await page.waitForURL(/\/syncs\/run_\d+$/)
}

/** The state of the run whose page is shown comes to be this one. */
export function comes(page, state) {
  return page.getByRole('region', { name: 'Progress' }).getByText(state, { exact: true }).waitFor()
}

/** How the connections of a project stand. */
export async function statuses(project) {
  const { connections } = await project.call('GET', '/connections')
  return connections.map((connection) => connection.status)
}

/** Where a page of a connection is. */
export function connectionPath(id, page = '') {
  return `/settings/integrations/${id}${page}`
}

/** The connection whose page is shown. */
export function connectionOf(page) {
  const found = /\/settings\/integrations\/(con_[^/?#]+)/.exec(page.url())
  assert.ok(found, `${page.url()} is a connection's page`)
  return found[1]
}

/** The tab of a connection's pages. */
export function tab(page, name) {
  return page.getByRole('navigation', { name: 'Integration' }).getByRole('link', { name, exact: true })
}

/** How many times Tab may be pressed on the way to one element. */
const TABS_MAX = 120

/**
 * Goes on with Tab to the element with that role and name. It must be seen to have the focus.
 */
export async function tabTo(page, role, name) {
  const wanted = page.getByRole(role, { name, exact: true })
  for (let pressed = 0; pressed < TABS_MAX; pressed += 1) {
    await page.keyboard.press('Tab')
    const has = await wanted.evaluateAll((all) => all.includes(document.activeElement))
    if (!has) continue
    assert.ok(await page.evaluate(focusShows), `the focus on ${role} “${name}” is seen`)
    return
  }
  assert.fail(`${role} “${name}” is reached with the keyboard`)
}

/** Runs in the page: whether what has the focus looks like it. */
function focusShows() {
  const style = getComputedStyle(document.activeElement)
  return style.outlineStyle !== 'none' || style.boxShadow !== 'none'
}

/** Goes on with Tab to a button or link, and presses it. */
export async function press(page, role, name) {
  await tabTo(page, role, name)
  await page.keyboard.press('Enter')
}

export const PASSWORD = 'correct horse battery'

/** The first person of a host of the scene's own, signed in. */
export async function owner(scene, options) {
  const world = await scene.ownWorld()
  const browser = await scene.browser(options)
  const { page } = browser
  await page.goto(world.ownerLink())
  await page.getByRole('heading', { level: 1 }).waitFor()
  return { world, browser, page }
}

/** Fills in who begins, and with what. */
export async function begins(page, password = PASSWORD) {
  const [project, you] = [page.getByRole('group', { name: 'Your project' }), page.getByRole('group', { name: 'You', exact: true })]
  await project.getByRole('textbox', { name: 'Name' }).fill('Northwind')
  await you.getByRole('textbox', { name: 'Name' }).fill('Ana Silva')
  await you.getByRole('textbox', { name: 'E-mail' }).fill('ana@northwind.example')
  await you.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Begin' }).click()
}
