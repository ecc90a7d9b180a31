// Signing in and out.

import { describe } from 'node:test'

import { said, signIn } from './pages.mjs'
import { scene } from './scene.mjs'

describe('signing in', { concurrency: 2 }, () => {
  scene('a link signs in once, to the page that was wanted', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.browser()
    const { page } = browser
    await page.goto('/settings/integrations')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await browser.see('signing-in/how')
    const link = await project.signInLink()
    await page.goto(link)
    await said(page, 'This link signs this browser in, once.').waitFor()
    await browser.see('signing-in/by-link')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor()

    const other = await scene.browser()
    await other.page.goto(link)
    await other.page.getByRole('heading', { level: 1 }).waitFor()
    await other.see('signing-in/used-link')
  })

  scene('whoever signs out is asked to sign in again', async (scene) => {
    const [project] = await scene.sides()
    const browser = await scene.browser()
    const { page } = browser
    await signIn(page, await project.signInLink())
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.goto('/users')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  })
})
