// The browser, and what is watched on every page that any test opens: no error in the console, no
// request to another host, a content-security policy without exceptions. What a test looks at is
// checked by axe in light and dark, wide and narrow, must fit a narrow screen, and is kept as pictures.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'

export const PICTURES = join(dirname(fileURLToPath(import.meta.url)), 'screenshots')

const WIDE = { width: 1280, height: 800 }
const NARROW = { width: 360, height: 780 }

/** How long any one thing may take to come true. */
const PATIENCE_MS = 20_000

let launched

function launch() {
  launched ??= (async () => {
    const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
    assert.ok(executablePath, 'Debian’s chromium is installed')
    return chromium.launch({ executablePath, chromiumSandbox: process.getuid() !== 0 })
  })()
  return launched
}

after(async () => (await launched)?.close())

/** Kinds of pages that were opened, and those that were looked at: paths without their ids. */
export const opened = new Set()
export const seen = new Set()

/** A path without what names a project, connection, user, run, segment … */
export function kind(path) {
  return path.replace(/\/[a-z]+_[0-9A-Za-z]+(?=\/|$)/g, '/:id').replace(/\/\d+(?=\/|$)/g, '/:number').replace(/\/[0-9a-f]{64}(?=\/|$)/g, '/:digest')
}

/** A browser of somebody, whose pages are watched. */
export class Browser {
  static async open(world, options = {}) {
    const browser = new Browser()
    browser.world = world
    browser.complaints = []
    browser.documents = new Map()
    browser.broken = new Set()
    browser.context = await (await launch()).newContext({
      baseURL: world.url,
      viewport: WIDE,
      colorScheme: 'light',
      reducedMotion: 'reduce',
      ...options,
    })
    browser.context.setDefaultTimeout(PATIENCE_MS)
    browser.context.on('page', (page) => browser.#watch(page))
    browser.context.on('request', (request) => browser.#asked(request))
    browser.page = await browser.context.newPage()
    return browser
  }

  #complain(page, text) {
    this.complaints.push(`${page.url()}: ${text}`)
  }

  #watch(page) {
    page.on('pageerror', (error) => this.#complain(page, `error: ${error.message}`))
    page.on('crash', () => this.#complain(page, 'crashed'))
    page.on('console', (message) => {
      if (message.type() !== 'error' || !page.url().startsWith(this.world.url)) return
      // A page that refuses says so by its status, and the console repeats that.
      const { url } = message.location()
      const status = /^Failed to load resource: .* status of (\d+)/.exec(message.text())?.[1]
      if (status && this.documents.get(url) === Number(status)) return
      // A line that a test breaks is reported there, too.
      if (this.broken.has(url)) return
      this.#complain(page, `console: ${message.text()} (${url})`)
    })
    page.on('response', (answer) => this.#answered(page, answer))
  }

  #asked(request) {
    const url = request.url()
    if (url.startsWith(`${this.world.url}/`)) return
    // HubSpot's consent is gone to on purpose.
    if (request.isNavigationRequest() && url.startsWith(`${this.world.simulator.url}/oauth/`)) return
    const page = request.serviceWorker() ? this.page : request.frame().page()
    this.#complain(page, `asked another host: ${url}`)
  }

  #answered(page, answer) {
    const url = new URL(answer.url())
    if (url.origin !== this.world.url || !/^text\/html/.test(answer.headers()['content-type'] ?? '')) return
    this.documents.set(answer.url(), answer.status())
    const policy = answer.headers()['content-security-policy'] ?? ''
    const isStrict = policy.includes("default-src 'none'") && !/unsafe-|\*|data:|https?:/.test(policy)
    if (!isStrict) this.#complain(page, `policy of ${url.pathname}: ${policy || 'none'}`)
    if (answer.request().isNavigationRequest()) opened.add(kind(url.pathname))
  }

  /** From now on no answer comes to what is asked for at such an address. */
  breakLine(pattern, page = this.page) {
    return page.route(pattern, (route) => {
      this.broken.add(route.request().url())
      return route.abort()
    })
  }

  /** What was last read out. */
  readOut(page = this.page) {
    return page.locator('[data-announcer]')
  }

  /** Looks at what is shown: its pictures get this name, and what is wrong with it is complained of. */
  async see(name, page = this.page) {
    seen.add(kind(new URL(page.url()).pathname))
    const viewport = page.viewportSize()
    await this.#scan(page, name)
    await this.#picture(page, `${name}.light`)
    await page.emulateMedia({ colorScheme: 'dark' })
    // Nothing but colours is another in the dark.
    await this.#scan(page, `${name} in the dark`, ['color-contrast'])
    await this.#picture(page, `${name}.dark`)
    await page.emulateMedia({ colorScheme: 'light' })
    await page.setViewportSize(NARROW)
    const wide = await page.evaluate(tooWide)
    // What scrolls by itself only here must be reached with the keyboard, too.
    await this.#scan(page, `${name} when narrow`)
    await this.#picture(page, `${name}.narrow`)
    await page.setViewportSize(viewport)
    for (const told of wide) this.#complain(page, `${name} is wider than ${NARROW.width} pixels: ${told}`)
  }

  async #scan(page, name, rules) {
    // No page has frames, so what axe adds to reach into them is not needed.
    const axe = new AxeBuilder({ page }).setLegacyMode(true)
    if (rules) axe.withRules(rules)
    const { violations } = await axe.analyze()
    for (const { id, help, nodes } of violations) {
      for (const { html, failureSummary } of nodes) {
        this.#complain(page, `${name} is not accessible, ${id}: ${help}\n${html}\n${failureSummary}`)
      }
    }
  }

  async #picture(page, name) {
    const path = join(PICTURES, `${name}.png`)
    await mkdir(dirname(path), { recursive: true })
    await page.screenshot({ path, fullPage: true })
  }

  /** Keeps what a test that failed was looking at. */
  async keep(name) {
    for (const [index, page] of this.context.pages().entries()) {
      await this.#picture(page, `failed/${name.replace(/\W+/g, '-')}-${index + 1}`).catch(() => {})
    }
  }

  /** That nothing was complained of. */
  check() {
    assert.equal(this.complaints.length, 0, this.complaints.join('\n\n'))
  }

  close() {
    return this.context.close()
  }
}

/** Runs in the page: what reaches out of it to the right, where it makes the page scroll. */
function tooWide() {
  const room = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= room) return []
  const isCut = (element) => element && (getComputedStyle(element).overflowX !== 'visible' || isCut(element.parentElement))
  const wide = [...document.body.querySelectorAll('*')].filter((element) => {
    const { right, width } = element.getBoundingClientRect()
    return width > 0 && right > room + 0.5 && !isCut(element.parentElement)
  })
  // What stands freely in something that scrolls makes the page scroll instead.
  const told = wide.length ? wide : [document.body]
  return told.map((element) => element.outerHTML.slice(0, 120))
}
