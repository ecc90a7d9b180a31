// Every subject, in one process: they share the browser, the host and the simulated HubSpot.
//
//   JIMO_CONNECT_BIN=… HUBSPOT_SIM_BIN=… node --test main.mjs
//
// One subject: `node --test connecting.test.mjs`. One test: `--test-name-pattern`.

import { rmSync } from 'node:fs'

import { PICTURES } from './browser.mjs'
import './setting_up.test.mjs'
import './signing_in.test.mjs'
import './members.test.mjs'
import './connecting.test.mjs'
import './pushing.test.mjs'
import './mapping.test.mjs'
import './syncing.test.mjs'
import './stopping.test.mjs'
import './health.test.mjs'
import './users.test.mjs'
import './segments.test.mjs'
import './operating.test.mjs'
import './demo.test.mjs'
import './pressing.test.mjs'
import './watching.test.mjs'

// No picture is older than the pages.
rmSync(PICTURES, { recursive: true, force: true })
