// The pages that there are, read from the host's own routers: no list beside them can grow old.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../../host/src/web/pages')
const CALLBACK = readFileSync(join(WEB, '../../sync/consents/mod.rs'), 'utf8')

/** What is no page to look at: it streams, sends on, or is a file. */
const NO_PAGES = [/\/live$/, /\/bytes$/, /^\/$/, /^\/operator$/, /^\/static\//, /^\/demo\/hubspot$/]

/** Every path that a browser may open as a page, as routers write it: `/users/{user}`. */
export function pages() {
  const files = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith('.rs'))
  const sources = new Map(files.map((name) => [name, readFileSync(join(WEB, name), 'utf8')]))
  const constants = new Map()
  for (const source of [...sources.values(), CALLBACK]) {
    for (const [, name, path] of source.matchAll(/const (\w+): &str = "(\/[^"]*)";/g)) constants.set(name, path)
  }
  const pathOf = (text) => (text.startsWith('"') ? text.slice(1, -1) : constants.get(text.split('::').at(-1)))
  const routers = [...sources].flatMap(([name, source]) => routersOf(name, source))
  /** What stands before the routes of a router: where another nests it, or the folder that it is in. */
  const before = ({ file, name }) => {
    for (const router of routers) {
      for (const [, path, nested] of router.text.matchAll(/\.nest\(\s*("[^"]*"|[\w:]+),\s*([\w:]+)/g)) {
        const module = join(dirname(router.file), nested.split('::')[0])
        const isIt = nested.includes('::') ? isIn(file, module) : file === router.file && name === nested
        if (isIt) return pathOf(path)
      }
    }
    return ''
  }
  const found = routers.flatMap((router) => {
    const gets = [...router.text.matchAll(/\.route\(\s*("[^"]*"|[\w:]+),\s*get\(/g)]
    return gets.map(([, path]) => `${before(router)}${pathOf(path)}`)
  })
  const written = [...sources.values()].join('\n').match(/(?<![.\w:])get\((?:[\w:]+)\)/g).length
  assert.equal(found.length, written, 'every page’s route is understood')
  const paths = found.map((path) => path.replace(/(.)\/$/, '$1'))
  return paths.filter((path) => !NO_PAGES.some((pattern) => pattern.test(path)))
}

/** The routers that a file makes: what each `Router::new()` is called, and all that is said of it. */
function routersOf(file, source) {
  const parts = source.split(/(?=Router::new\(\))/).slice(1)
  return parts.map((text, at) => {
    const said = source.split(/(?=Router::new\(\))/)[at]
    const [, name = ''] = /let (\w+) = $/.exec(said) ?? []
    return { file, name, text: text.split(/;|\n}/)[0] }
  })
}

/** Whether a file is a module's, or of one below it. */
function isIn(file, module) {
  return file === `${module}.rs` || !relative(module, file).startsWith('..')
}

/** Which of these pages a path without ids is; the one with the fewest gaps. */
export function pageOf(pages, path) {
  const fits = pages.filter((page) => new RegExp(`^${page.replace(/\{\w+\}/g, '[^/]+')}$`).test(path))
  return fits.sort((one, other) => one.split('{').length - other.split('{').length)[0]
}
