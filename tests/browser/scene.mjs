// A test: a project and a HubSpot account of its own, browsers that are watched, and pictures of
// what was shown where it fails.

import { it } from 'node:test'

import { Browser } from './browser.mjs'
import { signIn } from './pages.mjs'
import { Demo, World } from './world.mjs'

/** The longest that a test may take, on a machine that is busy with others. */
const TEST_MAX_MS = 180_000

/** A test by what it says; `play` gets a [`Scene`]. */
export function scene(name, play) {
  it(name, { timeout: TEST_MAX_MS }, async () => {
    const scene = new Scene(await World.shared())
    try {
      await play(scene)
      for (const browser of scene.browsers) browser.check()
    } catch (error) {
      for (const browser of scene.browsers) await browser.keep(name)
      throw error
    } finally {
      for (const browser of scene.browsers) await browser.close()
      await scene.own?.stop()
    }
  })
}

class Scene {
  browsers = []

  constructor(world) {
    this.world = world
  }

  /** From now on a host and a simulated HubSpot of its own, for what others would notice. */
  async ownWorld(settings) {
    this.own = await World.start(settings)
    this.world = this.own
    return this.own
  }

  /** From now on the demo. */
  async demo() {
    this.own = await Demo.start()
    this.world = this.own
    return this.own
  }

  /** A project, and a HubSpot account for it. */
  async sides(name = 'Northwind') {
    const project = await this.world.project(name)
    const domain = `${name.toLowerCase().replace(/\W+/g, '-')}.example`
    return [project, await this.world.account(domain)]
  }

  /** A browser that is not signed in. */
  async browser(options) {
    const browser = await Browser.open(this.world, options)
    this.browsers.push(browser)
    return browser
  }

  /** A browser that is signed in to a project. */
  async signedIn(project, role = 'admin', options = {}) {
    const browser = await this.browser(options)
    await signIn(browser.page, await project.signInLink(role))
    return browser
  }
}
