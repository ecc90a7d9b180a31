// Settings → Integrations: from Enable to HubSpot's consent and back, and all that can be met on
// the way.

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { connect, grant, said, statuses, tab, toConsent, toIntegrations, underWay } from './pages.mjs'
import { scene } from './scene.mjs'

describe('connecting', { concurrency: 2 }, () => {
  scene('HubSpot is enabled, consented to and confirmed, and its account is shown', async (scene) => {
    const [project, account] = await scene.sides('Northwind')
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await browser.see('integrations/nothing-enabled')
    await toConsent(page)
    await grant(page, account)
    await page.getByRole('heading', { name: 'Connect HubSpot' }).waitFor()
    const main = page.getByRole('main')
    await said(page, account.label).waitFor()
    await said(page, 'Northwind', { exact: true }).waitFor()
    // Nothing is kept before.
    assert.deepEqual(await statuses(project), ['pending'])
    await browser.see('connecting/confirm')
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'HubSpot integration' }).waitFor()
    await said(page, 'Connected', { exact: true }).waitFor()
    await said(page, `Account ${account.portal}`).waitFor()
    await browser.see('connection/overview-new')
    await tab(page, 'Full sync').click()
    await page.getByRole('heading', { name: 'Run a full sync' }).waitFor()
    await browser.see('connection/full-sync-nothing-mapped')
    await tab(page, 'Health').click()
    await page.getByRole('heading', { name: 'Nothing is mapped yet' }).waitFor()
    await browser.see('health/nothing-mapped')
    await toIntegrations(page)
    await said(page, account.domain).waitFor()
    await browser.see('integrations/connected')
  })

  scene('a browser that is not sent on to HubSpot is led there by a link', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    // As where the line is so slow that the page can be read.
    await page.route('**/enable/hubspot', async (route) => {
      const answer = await route.fetch()
      const body = (await answer.text()).replace(/<meta http-equiv="refresh"[^>]*>/, '')
      await route.fulfill({ response: answer, body })
    })
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('status').getByText('Your browser goes to HubSpot').waitFor()
    await browser.see('connecting/opening-hubspot')
    await page.getByRole('link', { name: 'Go to HubSpot' }).click()
    await page.getByRole('heading', { name: 'Simulated HubSpot' }).waitFor()
  })

  scene('a consent that is refused is explained, and can be begun again', async (scene) => {
    const [project, account] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await said(page, 'access was not granted').waitFor()
    await browser.see('connecting/refused')
    await page.getByRole('link', { name: 'Integrations' }).click()
    await said(page, 'Not finished', { exact: true }).waitFor()
    await browser.see('integrations/not-finished')
    await page.getByRole('link', { name: 'No account yet' }).click()
    await page.getByRole('heading', { name: 'Finish connecting' }).waitFor()
    await browser.see('connection/not-finished')
    // Whatever is streamed to it, nothing comes that it has no place for.
    const keys = () => page.locator('[data-key]').evaluateAll((parts) => parts.map((part) => part.dataset.key))
    const shown = await keys()
    const own = await page.locator('[data-live]').getAttribute('data-live')
    for (const stream of [own, own.replace(/\/head\/live.*/, '/live')]) {
      await page.evaluate((address) => new Promise((told) => {
        const source = new EventSource(address)
        source.addEventListener('part', ({ data }) => {
          source.close()
          new LivePart(document.querySelector('[data-live]')).update(JSON.parse(data))
          told()
        })
      }), stream)
      assert.deepEqual(await keys(), shown, stream)
    }
    await tab(page, 'Health').click()
    await page.getByRole('heading', { name: 'Not connected yet' }).waitFor()
    await browser.see('health/not-finished')
    await tab(page, 'Overview').click()
    // Who finishes it may have another tab open that waits for it.
    const other = await page.context().newPage()
    await other.goto(page.url())
    await toConsent(other, 'Connect with HubSpot')
    await grant(other, account)
    await other.getByRole('button', { name: 'Connect', exact: true }).click()
    await other.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await other.close()
    await page.bringToFront()
    await page.getByRole('heading', { name: 'Set it up' }).waitFor()
    // It went on with the one that was begun.
    assert.deepEqual(await statuses(project), ['active'])
  })

  scene('a page whose consent is finished elsewhere is another once no form of it is under way', async (scene) => {
    const [project, account] = await scene.sides()
    const { page } = await scene.signedIn(project)
    await toIntegrations(page)
    await toConsent(page)
    await page.goto('/settings/integrations')
    await page.getByRole('link', { name: 'No account yet' }).click()
    await page.getByRole('heading', { name: 'Finish connecting' }).waitFor()
    await underWay(page.locator('form[action$="/reconnect"]'))
    const asked = []
    page.on('request', (request) => { if (request.isNavigationRequest()) asked.push(request.url()) })
    const other = await page.context().newPage()
    await other.goto(page.url())
    await toConsent(other, 'Connect with HubSpot')
    await grant(other, account)
    await other.getByRole('button', { name: 'Connect', exact: true }).click()
    await other.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await other.close()
    await page.bringToFront()
    // By the time that the host has answered anything more, the page knows.
    await page.evaluate(() => new Promise((told) => {
      const part = document.querySelector('[data-live]')
      const source = new EventSource(part.dataset.live)
      source.addEventListener('part', async ({ data }) => {
        source.close()
        new LivePart(part).update(JSON.parse(data))
        await fetch('/users')
        told()
      })
    }))
    assert.deepEqual(asked, [])
    // As by the link that skips the navigation: the page is asked for all the same.
    await page.evaluate(() => history.replaceState(null, '', '#main'))
    // As when somebody comes back to it.
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow')))
    await page.getByRole('heading', { name: 'Set it up' }).waitFor()
  })

  scene('of a wrong account nothing is kept', async (scene) => {
    const [project, account] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    await grant(page, account)
    await page.getByRole('link', { name: 'Not this one' }).click()
    await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor()
    await said(page, 'Not finished', { exact: true }).waitFor()
    assert.deepEqual(await statuses(project), ['pending'])
  })

  scene('a consent is used once', async (scene) => {
    const [project, account] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    await grant(page, account)
    await page.getByRole('heading', { name: 'Connect HubSpot' }).waitFor()
    const used = page.url()
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await page.goto(used)
    await said(page, 'used already, or is older than ten minutes').waitFor()
    await browser.see('connecting/used-or-expired')
    await page.getByRole('link', { name: 'Integrations' }).click()
    await said(page, account.domain).waitFor()
  })

  scene('an account that is connected already, and another one on reconnecting, are refused', async (scene) => {
    const [project, account] = await scene.sides()
    const other = await scene.world.account('southwind.example')
    const browser = await scene.signedIn(project)
    const { page } = browser
    await connect(page, account)
    await toIntegrations(page)
    await toConsent(page, 'Connect another account')
    await grant(page, account)
    await said(page, 'is connected to the project already').waitFor()
    await browser.see('connecting/already-connected')
    // Nothing is left to be finished.
    assert.deepEqual(await statuses(project), ['active'])
    await page.getByRole('link', { name: 'Open it' }).click()
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    await toConsent(page, 'Reconnect')
    // HubSpot is told which account it was; who looks for another one finds it.
    await page.goto(page.url().replace(`/oauth/${account.portal}/`, '/oauth/'))
    await grant(page, other)
    await said(page, `is of the HubSpot account ${account.portal}, and you chose ${other.portal}`).waitFor()
    await browser.see('connecting/other-account')
    await page.getByRole('link', { name: 'Back to the integration' }).click()
    await toConsent(page, 'Reconnect')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'The connection is as it was' }).waitFor()
    await browser.see('connecting/reconnecting-refused')
    assert.deepEqual(await statuses(project), ['active'])
  })

  scene('an account whose plan lacks what Jimo reads cannot be connected', async (scene) => {
    const { world } = scene
    const project = await world.project('Northwind')
    const account = await world.account('small.example', { scopes: ['crm.objects.contacts.read'] })
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    await grant(page, account)
    // HubSpot says so itself, on a page of its own.
    await page.getByRole('heading', { name: 'Insufficient scopes' }).waitFor()
    assert.deepEqual(await statuses(project), ['pending'])
  })

  scene('a consent that lacks permissions says which, and so does the connection', async (scene) => {
    const [project, account] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    // As where the app asks for less than Jimo reads.
    const less = new URL(page.url())
    const scopes = less.searchParams.get('scope').split(' ').filter((scope) => !scope.includes('deals'))
    less.searchParams.set('scope', scopes.join(' '))
    await page.goto(less.href)
    await grant(page, account)
    const missing = page.getByRole('region', { name: 'Permissions are missing' })
    await missing.getByText('does not let Jimo read deals, the properties of deals').waitFor()
    await missing.getByRole('button', { name: 'Begin again' }).waitFor()
    await browser.see('connecting/permissions-are-missing')
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'HubSpot integration' }).waitFor()
    await page.getByRole('heading', { name: /HubSpot needs attention/ }).waitFor()
    await browser.see('connection/permissions-are-missing')
    await tab(page, 'Health').click()
    await page.getByRole('heading', { level: 3, name: 'Permissions are missing' }).waitFor()
    await browser.see('health/permissions-are-missing')
  })

  scene('a consent that took longer than ten minutes is over, and nothing is kept of it', async (scene) => {
    const world = await scene.ownWorld({ isTurned: true })
    const [project, account] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    await world.turn(11)
    await grant(page, account)
    await said(page, 'older than ten minutes').waitFor()
    await browser.see('connecting/expired')
    assert.deepEqual(await statuses(project), ['pending'])
  })

  scene('an answer of HubSpot that cannot be used is explained', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.signedIn(project)
    const { page } = browser
    await toIntegrations(page)
    await toConsent(page)
    const state = new URL(page.url()).searchParams.get('state')
    await page.goto(`/oauth/hubspot/callback?state=${encodeURIComponent(state)}&code=made-up`)
    await said(page, /HubSpot.s answer could not be used/).waitFor()
    await browser.see('connecting/answer-not-usable')
  })

  scene('a consent that another browser began is not taken over', async (scene) => {
    const [project, account] = await scene.sides()
    const [first, second] = [await scene.signedIn(project), await scene.signedIn(project)]
    await toIntegrations(first.page)
    await toConsent(first.page)
    await second.page.goto(first.page.url())
    await grant(second.page, account)
    await said(second.page, 'This consent was begun in another browser').waitFor()
    await second.see('connecting/other-browser')
    assert.deepEqual(await statuses(project), ['pending'])
  })

  scene('what begins in HubSpot’s marketplace goes on after signing in', async (scene) => {
    const [project, account] = await scene.sides()
    const browser = await scene.browser()
    const { page } = browser
    const { world } = scene
    await page.goto(await world.marketplaceLink())
    await grant(page, account)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.goto(await project.signInLink())
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await said(page, account.label).waitFor()
    await browser.see('connecting/from-the-marketplace')
    assert.deepEqual(await statuses(project), [])
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('heading', { name: 'HubSpot integration' }).waitFor()
    assert.deepEqual(await statuses(project), ['active'])
  })

  scene('a viewer sees what is connected, and cannot connect', async (scene) => {
    const [project, account] = await scene.sides()
    const id = await project.connect(account)
    const browser = await scene.signedIn(project, 'viewer')
    const { page } = browser
    await toIntegrations(page)
    await said(page, 'An admin of the project can connect HubSpot').waitFor()
    await browser.see('integrations/viewer')
    await page.goto(`/settings/integrations/${id}`)
    await said(page, 'An admin of the project can pause or delete it').waitFor()
    await browser.see('connection/overview-viewer')
    assert.equal(await page.getByRole('button', { name: /Pause|Reconnect|Enable|Connect/ }).count(), 0)
  })
})
