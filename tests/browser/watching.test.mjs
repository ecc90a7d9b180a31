// What the watch over all tests amounts to. Runs last, and means something only with all others.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { opened, seen } from './browser.mjs'
import { pageOf, pages } from './routes.mjs'

// Reconnecting opens HubSpot by the same page as enabling does.
const SAME = new Map([['/settings/integrations/:id/reconnect', '/settings/integrations/enable/hubspot']])

test('every page that a test opened was looked at by one', () => {
  const unseen = [...opened].filter((page) => !seen.has(SAME.get(page) ?? page))
  assert.deepEqual(unseen, [])
})

test('every page that the host has was looked at', () => {
  const all = pages()
  const looked = new Set([...seen].map((path) => pageOf(all, path)))
  assert.deepEqual(all.filter((page) => !looked.has(page)), [])
})
