// Matched and synced fields, with all that can be met there.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { connectionPath, said } from './pages.mjs'
import { scene } from './scene.mjs'

const MAPPINGS = {
  contacts: {
    fields: [
      { property: 'jobtitle', variable: 'job_title' },
      { property: 'lifecyclestage', variable: 'lifecycle_stage', show: 'label' },
    ],
  },
  deals: { fields: [{ property: 'dealname', variable: 'deal_name' }] },
}

/** A connection of two users with contacts, and an admin's browser. */
async function mapped(scene, mappings = MAPPINGS) {
  const [project, account] = await scene.sides()
  await project.users(
    { external_id: 'u-1', email: 'ana@northwind.example', name: 'Ana Silva' },
    { external_id: 'u-2', email: 'ben@northwind.example', name: 'Ben Okafor' },
  )
  await account.call('POST', '/properties/contacts', { name: 'jimo_id', label: 'Jimo id', type: 'string', fieldType: 'text' })
  await account.create('contacts', { email: 'ana@northwind.example', jobtitle: 'Engineer', jimo_id: 'u-1' })
  await account.create('contacts', { email: 'ana@old.example', jimo_id: 'u-1' })
  const id = await project.connect(account, mappings)
  const browser = await scene.signedIn(project)
  return { project, account, id, browser, page: browser.page }
}

/** The form of one property in the list of those that can be added. */
function property(page, name) {
  return page.getByRole('listitem').filter({ has: page.locator('.property .name', { hasText: new RegExp(`^${name} `) }) })
}

/** Runs in the page: what has the focus, where it is wholly behind the draft’s bar. */
function hiddenFocus() {
  const focused = document.activeElement
  const bar = document.querySelector('.banner.draft')
  if (!bar || bar.contains(focused)) return null
  const [inner, outer] = [focused.getBoundingClientRect(), bar.getBoundingClientRect()]
  return inner.top >= outer.top && inner.top < outer.bottom ? focused.outerHTML : null
}

describe('mapping', { concurrency: 2 }, () => {
  scene('another matched field is tried before it is saved, and values that are not unique are named', async (scene) => {
    const { id, browser, page } = await mapped(scene, null)
    await page.goto(connectionPath(id, '/matching'))
    await page.getByRole('combobox', { name: 'Property in HubSpot' }).first().fill('jimo_id')
    await page.getByRole('combobox', { name: 'Of the user in Jimo' }).first().selectOption('external_id')
    await page.getByRole('button', { name: 'See how many users it matches' }).first().click()
    await said(page, 'Some values are not unique').waitFor()
    await browser.see('mapping/matched-field-not-unique')
    await page.getByRole('combobox', { name: 'Property in HubSpot' }).first().fill('nonsense')
    await page.getByRole('button', { name: 'See how many users it matches' }).first().click()
    await page.locator('.error').first().waitFor()
    await browser.see('mapping/matched-field-unknown')
  })

  scene('fields are shown with their examples, switched to internal values, and removed keeping or clearing', async (scene) => {
    const { project, id, browser, page } = await mapped(scene)
    await page.goto(connectionPath(id, '/fields'))
    await page.getByRole('row', { name: /job_title/ }).waitFor()
    await browser.see('mapping/fields')
    await page.getByRole('button', { name: /^Show internal values/ }).click()
    await said(page, '1 change is not saved yet').waitFor()
    await page.getByRole('button', { name: /^Remove Job Title/ }).click()
    await said(page, '2 changes are not saved yet').waitFor()
    await page.getByText('Choose another way').click()
    await page.getByRole('radio', { name: /largest/i }).waitFor()
    await browser.see('mapping/fields-changed')
    await page.getByRole('link', { name: 'Review and save' }).click()
    await said(page, 'What becomes of the values of the field that you remove?').waitFor()
    await browser.see('mapping/review-removal')
    await page.getByRole('radio', { name: 'Clear them' }).check()
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await said(page, 'Saved.').waitFor()
    const { contacts } = await project.call('GET', `/connections/${id}/mappings`)
    assert.deepEqual(contacts.fields.map((field) => field.property), ['lifecyclestage'])
  })

  scene('what somebody else saved meanwhile is said, and is replaced only on purpose', async (scene) => {
    const { project, id, browser, page } = await mapped(scene)
    await page.goto(connectionPath(id, '/fields'))
    await page.getByRole('button', { name: /^Show internal values/ }).click()
    await said(page, '1 change is not saved yet').waitFor()
    const mine = structuredClone(MAPPINGS)
    mine.contacts.fields = mine.contacts.fields.filter((field) => field.property !== 'jobtitle')
    await project.call('PUT', `/connections/${id}/mappings`, mine)
    await page.reload()
    await page.getByRole('region', { name: 'Saved by somebody else' }).waitFor()
    await browser.see('mapping/saved-meanwhile')
    await page.getByRole('link', { name: 'Review and save' }).click()
    await page.getByRole('region', { name: 'Saved by somebody else' }).waitFor()
    assert.ok(await page.getByRole('button', { name: 'Save', exact: true }).isDisabled())
    await browser.see('mapping/review-saved-meanwhile')
    await page.getByRole('button', { name: 'Go on with mine' }).click()
    await page.getByRole('region', { name: 'Saved by somebody else' }).waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await said(page, 'Saved.').waitFor()
    const { contacts } = await project.call('GET', `/connections/${id}/mappings`)
    assert.deepEqual(contacts.fields.map((field) => field.property).sort(), ['jobtitle', 'lifecyclestage'])
  })

  scene('what is waited for is said in words, seen and read out', async (scene) => {
    const { id, browser, page } = await mapped(scene, null)
    await page.goto(connectionPath(id, '/matching'))
    let answer
    await page.route('**/matching?*', (route) => { answer = () => route.continue() })
    await page.getByRole('combobox', { name: 'Of the user in Jimo' }).first().selectOption('external_id')
    await page.getByRole('button', { name: 'See how many users it matches' }).first().click()
    const waiting = 'Asking HubSpot how many users it matches…'
    await page.locator(`#matching[data-waits="${waiting}"]`).waitFor()
    await browser.readOut().getByText(waiting).waitFor({ state: 'attached' })
    const shown = await page.locator('#matching').evaluate((part) => getComputedStyle(part, '::before').content)
    assert.match(shown, /Asking HubSpot/)
    await browser.see('mapping/waiting-for-hubspot')
    answer()
    await page.getByRole('region', { name: 'What it would match' }).first().waitFor()
    await page.locator('#matching:not([data-waits])').waitFor()
  })

  scene('what does not fit is refused with its reason, and an attribute that holds values is asked for', async (scene) => {
    const { project, id, browser, page } = await mapped(scene)
    await project.call('POST', '/variables', { name: 'seats', type: 'number' })
    await project.call('POST', '/variables', { name: 'town', type: 'text' })
    await project.users({ external_id: 'u-1', variables: { town: 'Porto' } })
    await page.goto(connectionPath(id, '/fields/add?object_type=contacts'))
    await page.getByRole('searchbox').fill('city')
    const city = property(page, 'city')
    await property(page, 'jobtitle').waitFor({ state: 'detached' })
    await city.getByRole('combobox', { name: /^Attribute for/ }).fill('seats')
    await city.getByRole('button', { name: /^Add/ }).click()
    await city.locator('.error').waitFor()
    await browser.see('mapping/type-does-not-fit')
    await city.getByRole('combobox', { name: /^Attribute for/ }).fill('town')
    await city.getByRole('button', { name: /^Add/ }).click()
    await city.getByText('town holds values already.').waitFor()
    await browser.see('mapping/take-over')
    await city.getByRole('button', { name: 'Take it over' }).click()
    await said(page, '1 change is not saved yet').waitFor()
    await page.getByRole('searchbox').fill('nothing is called this')
    await said(page, 'No property of HubSpot is called that').waitFor()
    await browser.see('mapping/no-property-found')
  })

  scene('what has the focus is not behind the bar that says what is not saved', async (scene) => {
    const { id, browser, page } = await mapped(scene)
    for (const viewport of [{ width: 1280, height: 800 }, { width: 360, height: 780 }]) {
      await page.setViewportSize(viewport)
      await page.goto(connectionPath(id, '/fields/add?object_type=contacts'))
      await page.getByRole('searchbox').focus()
      for (let pressed = 0; pressed < 60; pressed += 1) {
        await page.keyboard.press('Tab')
        const hidden = await page.evaluate(hiddenFocus)
        assert.equal(hidden, null, `${hidden} at ${viewport.width} pixels`)
      }
    }
    await browser.see('mapping/picker-with-the-keyboard')
  })

  scene('more than fifteen fields draw a kind warning', async (scene) => {
    const names = Array.from({ length: 16 }, (_, n) => `field_${n}`)
    const [project, account] = await scene.sides()
    for (const name of names) await account.call('POST', '/properties/contacts', { name, type: 'string', fieldType: 'text' })
    const id = await project.connect(account, {
      contacts: { fields: names.map((name) => ({ property: name, variable: name })) },
    })
    const browser = await scene.signedIn(project)
    await browser.page.goto(connectionPath(id, '/fields'))
    await said(browser.page, '16 fields are a lot').waitFor()
    await browser.see('mapping/many-fields')
  })

  scene('where HubSpot does not answer, fields say so and go on', async (scene) => {
    const { account, id, browser, page } = await mapped(scene, null)
    await account.fault('properties', { status: 502 })
    await page.goto(connectionPath(id, '/fields/add?object_type=contacts'))
    await said(page, 'properties cannot be shown now').waitFor()
    await browser.see('mapping/properties-not-shown')
  })

  scene('a thousand properties are found by a part of their label, on a slow line too', async (scene) => {
    const [project, account] = await scene.sides()
    for (let n = 0; n < 1000; n += 1) {
      await account.call('POST', '/properties/contacts', { name: `custom_${n}`, label: `Custom field ${n}`, type: 'string', fieldType: 'text' })
    }
    const id = await project.connect(account)
    const browser = await scene.signedIn(project)
    const { page } = browser
    await page.goto(connectionPath(id, '/fields/add?object_type=contacts'))
    await page.getByRole('heading', { name: 'Add fields of contacts' }).waitFor()
    await browser.see('mapping/a-thousand-properties')
    let answer
    await page.route('**/fields/add?*', (route) => { answer = () => route.continue() })
    await page.getByRole('searchbox').fill('field 777')
    // What is waited for is seen to be waited for.
    await page.locator('#found[aria-busy=true]').waitFor()
    await browser.see('mapping/searching-on-a-slow-line')
    answer()
    await property(page, 'custom_777').waitFor()
    assert.equal(await page.getByRole('listitem').filter({ hasText: 'Custom field' }).count(), 1)
  })

  scene('a viewer sees fields, and changes none', async (scene) => {
    const { project, id } = await mapped(scene)
    const viewer = await scene.signedIn(project, 'viewer')
    await viewer.page.goto(connectionPath(id, '/fields'))
    await viewer.page.getByRole('row', { name: /job_title/ }).waitFor()
    await viewer.see('mapping/fields-viewer')
    assert.equal(await viewer.page.getByRole('button', { name: /Remove|Show|Add/ }).count(), 0)
  })
})
