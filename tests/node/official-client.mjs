// HubSpot's official client against the simulated HubSpot, unchanged but for the base address.
//
//   HUBSPOT_SIM_BIN=path/to/hubspot-sim node --test official-client.mjs
//
// What the client accepts is a reading of HubSpot's documentation that is not ours.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'

import { Client, Signature } from '@hubspot/api-client'

const PORTAL = 48975575
const SCOPES = [
  'oauth',
  ...['contacts', 'companies', 'deals'].flatMap((type) => [
    `crm.objects.${type}.read`,
    `crm.objects.${type}.write`,
    `crm.schemas.${type}.write`,
  ]),
]
const REDIRECT = 'http://localhost:3000/callback'

let simulator
let address
let app
let client

/** Calls the simulator's own API. */
async function control(method, path, body) {
  const response = await fetch(`${address}/_sim${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const answer = await response.json()
  assert.ok(response.ok, JSON.stringify(answer))
  return answer
}

before(async () => {
  const binary = process.env.HUBSPOT_SIM_BIN
  assert.ok(binary, 'HUBSPOT_SIM_BIN names the simulator')
  const options = ['--account', PORTAL, '--auto-approve', PORTAL, '--unlimited']
  simulator = spawn(binary, options.map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: simulator.stdout }), 'line')
  address = line.split(' ').at(-1)
  app = (await control('GET', '/state')).app
  client = new Client({
    basePath: address,
    developerApiKey: app.developer_key,
    numberOfApiCallRetries: 0,
    // The client spaces its calls for HubSpot's sake.
    limiterOptions: { minTime: 0, maxConcurrent: 10 },
  })
})

after(() => simulator?.kill())

test('a code is exchanged for tokens, and the refresh token for others', async () => {
  const consent = client.oauth.getAuthorizationUrl(app.client_id, REDIRECT, SCOPES.join(' '))
  const page = new URL(consent)
  const back = await fetch(`${address}/oauth/authorize${page.search}`, { redirect: 'manual' })
  assert.equal(back.status, 302)
  const code = new URL(back.headers.get('location')).searchParams.get('code')

  const { tokensApi, accessTokensApi, refreshTokensApi } = client.oauth
  const { client_id, client_secret } = app
  const issued = await tokensApi.create('authorization_code', code, REDIRECT, client_id, client_secret)
  assert.equal(issued.tokenType, 'bearer')
  assert.equal(issued.expiresIn, 1800)
  const renewed = await tokensApi.create(
    'refresh_token', undefined, undefined, client_id, client_secret, issued.refreshToken,
  )
  assert.equal(renewed.refreshToken, issued.refreshToken)
  client.setAccessToken(renewed.accessToken)

  const info = await accessTokensApi.get(renewed.accessToken)
  assert.equal(info.hubId, PORTAL)
  assert.ok(info.scopes.includes('crm.objects.deals.read'))
  assert.equal((await refreshTokensApi.get(renewed.refreshToken)).hubId, PORTAL)
  await assert.rejects(
    tokensApi.create('refresh_token', undefined, undefined, client_id, client_secret, 'gone'),
    (error) => error.code === 400 && error.body.status === 'BAD_REFRESH_TOKEN',
  )
})

test('contacts are created, read, changed, archived and merged', async () => {
  const { basicApi } = client.crm.contacts
  const ana = await basicApi.create({ properties: { email: 'ana@example.com', firstname: 'Ana' } })
  assert.ok(ana.createdAt instanceof Date)
  const changed = await basicApi.update(ana.id, { properties: { firstname: 'Anna' } })
  assert.equal(changed.properties.firstname, 'Anna')
  const read = await basicApi.getById(ana.id, ['firstname'], ['firstname'])
  assert.equal(read.properties.firstname, 'Anna')
  assert.deepEqual(read.propertiesWithHistory.firstname.map((held) => held.value), ['Anna', 'Ana'])
  const byEmail = await basicApi.getById(
    'ana@example.com', undefined, undefined, undefined, false, 'email',
  )
  assert.equal(byEmail.id, ana.id)

  const other = await basicApi.create({ properties: { email: 'anna@example.com' } })
  const merged = await basicApi.merge({ primaryObjectId: ana.id, objectIdToMerge: other.id })
  assert.notEqual(merged.id, ana.id)
  assert.equal((await basicApi.getById(other.id)).id, merged.id)
  await basicApi.archive(merged.id)
  await assert.rejects(basicApi.getById(merged.id), (error) => error.code === 404)
  const bin = await basicApi.getPage(10, undefined, undefined, undefined, undefined, true)
  assert.deepEqual(bin.results.map((held) => held.id), [merged.id])
  await assert.rejects(
    basicApi.create({ properties: { nonsense: '1' } }),
    (error) => error.code === 400 && error.body.category === 'VALIDATION_ERROR',
  )
})

test('a batch read answers 207 and names what is missing', async () => {
  const { basicApi, batchApi } = client.crm.contacts
  const bo = await basicApi.create({ properties: { email: 'bo@example.com' } })
  const asked = { properties: ['email'], propertiesWithHistory: [], inputs: [{ id: bo.id }, { id: '1' }] }
  const { httpStatusCode, data } = await withStatus(batchApi.readWithHttpInfo(asked))
  assert.equal(httpStatusCode, 207)
  assert.equal(data.results[0].properties.email, 'bo@example.com')
  assert.equal(data.numErrors, 1)
  assert.deepEqual(data.errors[0].context.ids, ['1'])
  const written = await batchApi.create({ inputs: [{ properties: { email: 'cy@example.com' } }] })
  assert.equal(written.results[0].properties.email, 'cy@example.com')
})

/** The status and the data of a call made with its HTTP details. */
async function withStatus(call) {
  const answer = await call
  return { httpStatusCode: answer.httpStatusCode, data: answer.data }
}

test('search filters, sorts and pages', async () => {
  const { basicApi, searchApi } = client.crm.deals
  for (const amount of ['5', '40', '300']) {
    await basicApi.create({ properties: { dealname: `Deal ${amount}`, amount } })
  }
  const filters = [{ propertyName: 'amount', operator: 'GTE', value: '40' }]
  const found = await searchApi.doSearch({
    filterGroups: [{ filters }], sorts: ['-amount'], properties: ['amount'], limit: 1,
  })
  assert.equal(found.total, 2)
  assert.equal(found.results[0].properties.amount, '300')
  assert.equal(found.paging.next.after, '1')
  const deal = found.results[0]
  assert.ok(deal.updatedAt instanceof Date)
})

test('all records are paged through', async () => {
  const { basicApi } = client.crm.companies
  for (let n = 0; n < 7; n += 1) {
    await basicApi.create({ properties: { name: `Company ${n}`, domain: `c${n}.example` } })
  }
  const all = await client.crm.companies.getAll(3, undefined, ['name'])
  assert.deepEqual(
    all.map((company) => company.properties.name),
    Array.from({ length: 7 }, (_, n) => `Company ${n}`),
  )
})

test('properties are listed, read, defined and archived', async () => {
  const { coreApi, groupsApi } = client.crm.properties
  const all = await coreApi.getAll('contacts')
  const stage = all.results.find((property) => property.name === 'lifecyclestage')
  assert.equal(stage.type, 'enumeration')
  assert.ok(stage.options.some((option) => option.value === 'customer'))
  assert.equal(stage.hubspotDefined, true)
  const made = await coreApi.create('contacts', {
    name: 'plan', label: 'Plan', type: 'enumeration', fieldType: 'select',
    groupName: 'contactinformation',
    options: [{ label: 'Free', value: 'free', displayOrder: 0, hidden: false }],
  })
  assert.equal(made.name, 'plan')
  assert.equal((await coreApi.getByName('contacts', 'plan')).options[0].label, 'Free')
  await coreApi.archive('contacts', 'plan')
  await assert.rejects(coreApi.getByName('contacts', 'plan'), (error) => error.code === 404)
  assert.ok((await groupsApi.getAll('contacts')).results.length > 0)
})

test('associations are made, read one by one and in batches, and ended', async () => {
  const { basicApi, batchApi } = client.crm.associations.v4
  const ana = await client.crm.contacts.basicApi.create({ properties: { lastname: 'A' } })
  const company = await client.crm.companies.basicApi.create({ properties: { name: 'A' } })
  await basicApi.createDefault('contacts', ana.id, 'companies', company.id)
  const page = await basicApi.getPage('contacts', ana.id, 'companies')
  assert.equal(String(page.results[0].toObjectId), company.id)
  assert.deepEqual(page.results[0].associationTypes.map((type) => type.typeId), [1, 279])
  const batch = await batchApi.getPage('companies', 'contacts', { inputs: [{ id: company.id }] })
  assert.equal(batch.results[0]._from.id, company.id)
  assert.equal(String(batch.results[0].to[0].toObjectId), ana.id)
  const labels = await client.crm.associations.v4.schema.definitionsApi.getAll('contacts', 'companies')
  assert.equal(labels.results[0].label, 'Primary')
  const inline = await client.crm.contacts.basicApi.getById(
    ana.id, undefined, undefined, ['companies'],
  )
  assert.equal(inline.associations.companies.results[0].id, company.id)
  await basicApi.archive('contacts', ana.id, 'companies', company.id)
  assert.deepEqual((await basicApi.getPage('contacts', ana.id, 'companies')).results, [])
})

test('pipelines tell which stages are closed', async () => {
  const { results } = await client.crm.pipelines.pipelinesApi.getAll('deals')
  const won = results[0].stages.find((stage) => stage.id === 'closedwon')
  assert.equal(won.metadata.isClosed, 'true')
})

test('subscriptions are managed, and deliveries bear signatures that the client finds valid', async () => {
  const arrived = []
  const listener = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    arrived.push({ headers: request.headers, body })
    response.writeHead(204).end()
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const url = `http://127.0.0.1:${listener.address().port}/webhooks/hubspot`
  try {
    const { settingsApi, subscriptionsApi } = client.webhooks
    await settingsApi.configure(app.id, {
      targetUrl: url, throttling: { maxConcurrentRequests: 10 },
    })
    const made = await subscriptionsApi.create(app.id, {
      eventType: 'contact.propertyChange', propertyName: 'city', active: true,
    })
    assert.equal(made.active, true)
    assert.equal((await subscriptionsApi.getAll(app.id)).results.length, 1)

    await client.crm.contacts.basicApi.create({ properties: { city: 'Málaga ☀' } })
    await control('POST', '/webhooks/settle')
    assert.equal(arrived.length, 1)
    const [{ headers, body }] = arrived
    const [event] = JSON.parse(body)
    assert.equal(event.propertyValue, 'Málaga ☀')
    assert.equal(event.portalId, PORTAL)
    const clientSecret = app.client_secret
    assert.ok(Signature.isValid({
      signatureVersion: 'v3', signature: headers['x-hubspot-signature-v3'], method: 'POST', url,
      clientSecret, requestBody: body, timestamp: Number(headers['x-hubspot-request-timestamp']),
    }))
    assert.ok(Signature.isValid({
      signatureVersion: 'v1', signature: headers['x-hubspot-signature'], clientSecret,
      requestBody: body,
    }))
  } finally {
    listener.close()
  }
})
