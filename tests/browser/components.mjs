// Components to install: the host's own, as another build of it would be, and the one of the tests
// that does as it is told.

import { readFile } from 'node:fs/promises'

/** The host's own component with another digest: it has a section more, which nobody reads. */
export async function rebuilt(mark) {
  const component = await readFile(process.env.HUBSPOT_COMPONENT)
  const content = Buffer.concat([Buffer.from([4]), Buffer.from('mark'), Buffer.from(mark)])
  return Buffer.concat([component, Buffer.from([0, content.length]), content])
}

/** `tests/misbehaving-plugin` as a plugin for HubSpot, which does as `always` says. */
export async function misbehaving(always) {
  const component = await readFile(process.env.MISBEHAVING_PLUGIN)
  writeOver(component, 'connector=misbehaving', 'connector=hubspot')
  writeOver(component, 'always=nothing at all    ', `always=${always}`)
  return component
}

function writeOver(component, text, other) {
  const place = component.indexOf(text)
  component.write(other.padEnd(text.length), place, 'latin1')
}
