// The programs as their user runs them: a simulated HubSpot, and a host on a data directory of its
// own, set up by its command line and its API.
//
//   JIMO_CONNECT_BIN, HUBSPOT_SIM_BIN   the programs
//   TURNED_HOST_BIN                     the host with a clock that tests turn; beside the
//                                       simulator where nothing is said
//   HUBSPOT_COMPONENT                   the component that is built into the host
//   WEBHOOK_CONNECTOR                   the component of a source that only pushes
//   MISBEHAVING_PLUGIN                  the one that does as it is told. Where nothing is said of
//                                       a component, it is where `tests/run browser` builds it

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

const target = join(dirname(process.env.JIMO_CONNECT_BIN ?? ''), '..')
const built = (component) => join('components/wasm32-wasip2/plugin', `${component}.wasm`)
process.env.HUBSPOT_COMPONENT ??= join(target, 'release', built('jimo_connect_hubspot'))
process.env.WEBHOOK_CONNECTOR ??= join(target, built('webhook_connector'))
process.env.MISBEHAVING_PLUGIN ??= join(target, built('misbehaving_plugin'))
process.env.TURNED_HOST_BIN ??= join(dirname(process.env.HUBSPOT_SIM_BIN ?? ''), 'turned-host')

/** A program that says where it listens. It is ended by the id of its process. */
class Program {
  /** What it said on standard error. */
  log = ''

  static async start(variable, options, environment) {
    const binary = process.env[variable]
    assert.ok(binary, `${variable} names the program`)
    const child = spawn(binary, options, {
      // Standard input stays open: closing it ends some programs.
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...environment },
    })
    const program = new Program()
    program.child = child
    program.ended = once(child, 'exit')
    child.stderr.on('data', (said) => {
      program.log += said
      process.stderr.write(said)
    })
    const lines = createInterface({ input: child.stdout })
    program.url = await Promise.race([
      listening(lines),
      program.ended.then(([code]) => { throw new Error(`${binary} ended with ${code}`) }),
    ])
    return program
  }

  async stop() {
    this.child.kill('SIGTERM')
    await this.ended
  }
}

/** The address in the one line that says it; what else is said is not needed. */
async function listening(lines) {
  for await (const line of lines) {
    const said = /^listening on (\S+)/.exec(line)
    if (said) {
      lines.resume()
      return said[1]
    }
  }
  throw new Error('it did not say where it listens')
}

/** What the source that only pushes shares with the hosts of tests. */
const PUSHED = { connector: 'webhook', secret: randomBytes(32) }

/** The HMAC of a text by that secret. */
const mac = (text) => createHmac('sha256', PUSHED.secret).update(text)

/** Answers' bodies; what is refused is an error that says why. */
async function call(method, url, body, headers = {}) {
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${url}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}

/** A simulated HubSpot and a host that uses it. */
export class World {
  static #shared

  /** The one that most tests share, each with a project and an account of its own. */
  static shared() {
    World.#shared ??= World.start()
    return World.#shared
  }

  static async stopShared() {
    await (await World.#shared)?.stop()
  }

  /** One of a test's own, which it may stop and break; with a clock of its own it may turn it. */
  static async start({ isTurned = false, ...settings } = {}) {
    const world = new World()
    world.moment = isTurned ? Date.now() : null
    world.directory = await mkdtemp(join(tmpdir(), 'jimo-connect-browser-'))
    world.simulator = await Program.start('HUBSPOT_SIM_BIN', [], {})
    const { app } = await world.simulate('GET', '/state')
    world.settings = {
      JIMO_DATA_DIR: world.directory,
      JIMO_LISTEN: '127.0.0.1:0',
      JIMO_LOG: 'warn',
      HUBSPOT_CLIENT_ID: app.client_id,
      HUBSPOT_CLIENT_SECRET: app.client_secret,
      HUBSPOT_APP_ID: String(app.id),
      HUBSPOT_API_URL: world.simulator.url,
      HUBSPOT_AUTHORIZE_URL: `${world.simulator.url}/oauth/authorize`,
      JIMO_CONNECTOR_SECRETS: `${PUSHED.connector}=${PUSHED.secret.toString('base64')}`,
      ...settings,
    }
    world.app = app
    await world.startHost()
    await world.simulate('PUT', '/webhooks', { target: `${world.url}/webhooks/hubspot` })
    await world.simulate('POST', '/webhooks/subscriptions', { event_type: 'defaults' })
    return world
  }

  async startHost() {
    const [program, options] = this.moment ? ['TURNED_HOST_BIN', [String(this.moment)]] : ['JIMO_CONNECT_BIN', ['serve']]
    this.host = await Program.start(program, options, this.settings)
    this.url = this.host.url
    // The host is found again where it was, and the commands know the address.
    this.settings.JIMO_LISTEN = new URL(this.url).host
    this.settings.JIMO_PUBLIC_URL = this.url
  }

  /** Time passes for both sides. */
  async turn(minutes) {
    const ms = minutes * 60_000
    this.moment += ms
    await this.simulate('POST', '/clock', { turn_ms: ms })
    this.host.child.stdin.write(`${this.moment}\n`)
  }

  /** The link to HubSpot's consent as its marketplace has it: with nothing of Jimo's in it. */
  async marketplaceLink() {
    const elsewhere = await this.project('Elsewhere')
    const { authorize_url } = await elsewhere.call('POST', '/connections', { connector: 'hubspot' })
    const install = new URL(authorize_url)
    for (const own of ['state', 'code_challenge', 'code_challenge_method']) install.searchParams.delete(own)
    return install.href
  }

  async stop() {
    await this.host.stop()
    await this.simulator.stop()
    await rm(this.directory, { recursive: true, force: true })
  }

  /** The link by which the first person comes in, which the host's log tells. */
  ownerLink() {
    const link = /http\S+\/welcome\?[^\s"]+/.exec(this.host.log)
    assert.ok(link, `a link in ${this.host.log}`)
    return link[0]
  }

  /** Runs a command beside the host; the last word of what it says. */
  async command(...words) {
    const { stdout } = await run(process.env.JIMO_CONNECT_BIN, words, { env: this.settings })
    return stdout.trim().split(/\s+/).at(-1)
  }

  /** Has the host run the connector of the source that only pushes. */
  async runPushed() {
    const digest = await this.command('plugin', 'install', process.env.WEBHOOK_CONNECTOR)
    await this.command('plugin', 'activate', digest)
  }

  /** The key that the source shows the customer with that account. */
  connectionKey(account) {
    return mac(`jimo-connect:${account}`).digest('hex')
  }

  /** The source pushes records. */
  async push(...records) {
    const body = JSON.stringify(records)
    const [id, seconds] = ['msg_1', String(Math.floor(Date.now() / 1000))]
    const answer = await fetch(`${this.url}/webhooks/${PUSHED.connector}`, {
      method: 'POST',
      body,
      headers: {
        'webhook-id': id,
        'webhook-timestamp': seconds,
        'webhook-signature': `v1,${mac(`${id}.${seconds}.${body}`).digest('base64')}`,
      },
    })
    assert.equal(answer.status, 204)
  }

  /** Calls the simulator's own API. */
  simulate(method, path, body) {
    return call(method, `${this.simulator.url}/_sim${path}`, body)
  }

  /** A project, and a token for it. */
  async project(name) {
    const id = await this.command('project', 'create', name)
    const token = await this.command('token', 'create', '--project', id, '--role', 'admin')
    return new Project(this, { id, name, token })
  }

  #portals = 48_000_000

  /** A HubSpot account that nobody else has. */
  async account(domain, spec = {}) {
    this.#portals += 1
    const portal = this.#portals
    await this.simulate('POST', '/accounts', { portal, domain, ...spec })
    return new Account(this, portal, domain)
  }
}

after(() => World.stopShared())

/** The demo: a host with a simulated HubSpot and sample data in one process. */
export class Demo {
  static async start() {
    const demo = new Demo()
    demo.host = await Program.start('JIMO_CONNECT_BIN', ['demo'], { JIMO_LISTEN: '127.0.0.1:0', JIMO_LOG: 'warn' })
    demo.link = demo.host.url
    demo.url = new URL(demo.link).origin
    // Its HubSpot is the host's own.
    demo.simulator = demo
    return demo
  }

  stop() {
    return this.host.stop()
  }
}

/** A Jimo project, by the API. */
export class Project {
  constructor(world, { id, name, token }) {
    Object.assign(this, { world, id, name, token })
  }

  /** Calls the API below the project. */
  call(method, path, body) {
    const url = `${this.world.url}/api/v1/projects/${this.id}${path}`
    return call(method, url, body, { authorization: `Bearer ${this.token}` })
  }

  /** Users as Jimo's own side tells of them; their ids. */
  async users(...users) {
    const { users: written } = await this.call('PUT', '/users', { users })
    return written.map((user) => user.id)
  }

  /** What the API says of the user with that external id. */
  async user(externalId) {
    const { users: [user] } = await this.call('GET', `/users?external_id=${externalId}`)
    return this.call('GET', `/users/${user.id}`)
  }

  /** A link that signs a browser in. */
  signInLink(role = 'admin') {
    return this.world.command('sign-in', '--project', this.id, '--role', role)
  }

  /** Connects an account and maps it, for tests of what comes after. */
  async connect(account, mappings) {
    const { id, authorize_url } = await this.call('POST', '/connections', { connector: 'hubspot' })
    const consent = new URL(authorize_url)
    consent.searchParams.set('approve', 'true')
    consent.searchParams.set('portal', account.portal)
    const answer = await fetch(consent)
    const page = await answer.text()
    const [, token] = /name="token" value="([^"]+)"/.exec(page)
    const confirmed = await fetch(`${this.world.url}/oauth/hubspot/confirm`, {
      method: 'POST',
      body: new URLSearchParams({ token }),
    })
    assert.ok(confirmed.ok, await confirmed.text())
    if (mappings) await this.call('PUT', `/connections/${id}/mappings`, mappings)
    return id
  }
}

/** A HubSpot account, by the simulator's own API. */
export class Account {
  constructor(world, portal, domain) {
    Object.assign(this, { world, portal, domain })
    /** What the consent page calls it. */
    this.label = `${domain} (${portal})`
  }

  call(method, path, body) {
    return this.world.simulate(method, `/accounts/${this.portal}${path}`, body)
  }

  async create(type, properties) {
    return (await this.call('POST', `/objects/${type}`, { properties })).id
  }

  change(type, id, properties) {
    return this.call('PATCH', `/objects/${type}/${id}`, { properties })
  }

  delete(type, id) {
    return this.call('DELETE', `/objects/${type}/${id}`)
  }

  associate(from, to, link = 'primary') {
    return this.call('POST', '/associations', { from, to, link })
  }

  /** Calls of one kind go wrong for this account, until faults are cleared. */
  fault(route, trouble, rule = {}) {
    return this.world.simulate('POST', '/faults', { route, portal: this.portal, trouble, ...rule })
  }
}
