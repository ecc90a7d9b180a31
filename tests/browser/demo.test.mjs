// The demo: a simulated HubSpot whose records are edited beside the Jimo user that follows.

import { describe } from 'node:test'

import { scene } from './scene.mjs'

describe('the demo', () => {
  scene('a record that is changed there shows on the user beside it by itself', async (scene) => {
    const demo = await scene.demo()
    const browser = await scene.browser()
    const { page } = browser
    await page.goto(demo.link)
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Simulated HubSpot' }).click()
    await page.getByRole('table', { name: 'Records' }).waitFor()
    await browser.see('demo/records')
    await page.getByRole('table', { name: 'Records' }).getByRole('row').filter({ has: page.locator('.chips') }).first().getByRole('link').click()
    const jimo = page.getByRole('region', { name: 'The Jimo user' })
    await jimo.getByText('This page updates by itself', { exact: true }).waitFor()
    await browser.see('demo/record')
    await page.getByRole('textbox', { name: 'Job Title' }).fill('Chief Testing Officer')
    await page.getByRole('button', { name: 'Save in HubSpot' }).click()
    await jimo.getByText('Chief Testing Officer').waitFor()
    await browser.see('demo/record-saved')
  })
})
