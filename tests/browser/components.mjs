// Components to install: the host's own, as another build of it would be, and the one of the tests
// that does as it is told.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..')
const WASM = 'wasm32-wasip2/plugin'

/** What is set where tests are built, and is none of a component's business. */
const OF_THE_TESTS = ['RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS', 'RUSTC_WORKSPACE_WRAPPER', 'CLIPPY_ARGS', 'CARGO_BUILD_TARGET', 'CARGO_TARGET_DIR']

/** The host's own component with another digest: it has a section more, which nobody reads. */
export async function rebuilt(mark) {
  const components = join(dirname(process.env.JIMO_CONNECT_BIN), 'components')
  const component = await readFile(join(components, WASM, 'jimo_connect_hubspot.wasm'))
  const content = Buffer.concat([Buffer.from([4]), Buffer.from('mark'), Buffer.from(mark)])
  return Buffer.concat([component, Buffer.from([0, content.length]), content])
}

let built

/** `tests/misbehaving-plugin` as a plugin for HubSpot, which does as `always` says. */
export async function misbehaving(always) {
  built ??= build('misbehaving-plugin')
  const component = Buffer.from(await built)
  writeOver(component, 'connector=misbehaving', 'connector=hubspot')
  writeOver(component, 'always=nothing at all    ', `always=${always}`)
  return component
}

async function build(name) {
  const target = join(dirname(process.env.JIMO_CONNECT_BIN), '../components')
  const env = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !OF_THE_TESTS.includes(variable)))
  const options = ['build', '--quiet', '--lib', '--locked', '--package', name, '--target', 'wasm32-wasip2', '--profile', 'plugin', '--target-dir', target]
  await promisify(execFile)('cargo', options, { cwd: ROOT, env })
  return readFile(join(target, WASM, `${name.replaceAll('-', '_')}.wasm`))
}

function writeOver(component, text, other) {
  const place = component.indexOf(text)
  component.write(other.padEnd(text.length), place, 'latin1')
}
