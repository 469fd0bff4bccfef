// Reads one JSON object from standard input, asks the simulator through the
// npm client connectwise-rest, and writes what it found as one JSON object.
import { readFileSync } from 'node:fs'
import connectwise from 'connectwise-rest'

const { ManageAPI, utils } = connectwise
const input = JSON.parse(readFileSync(0, 'utf8'))

const cwm = new ManageAPI({
  companyId: input.tenant,
  publicKey: input.publicKey,
  privateKey: input.privateKey,
  clientId: input.clientId,
  companyUrl: 'unused.invalid', // the client knows https only; see below
  apiVersion: '2026.4',
  logger: () => {},
})
// paginate() calls on cwm itself, single calls on the API they belong to.
for (const api of [cwm, cwm.CompanyAPI, cwm.ServiceAPI, cwm.SystemAPI]) {
  api.instance.defaults.baseURL = `${input.url}/v4_6_release/apis/3.0`
  api.instance.defaults.proxy = false
}

const ids = (rows) => rows.map((row) => row.id)
const failure = (promise) => promise.then(() => null, (e) => ({ status: e.status, data: e.data }))

const companies = (params) => cwm.paginate(cwm.CompanyAPI.getCompanyCompanies, { pageSize: input.pageSize }, params)
const out = {
  all: ids(await companies({})),
  live: ids(await companies({ conditions: 'deletedFlag=false' })),
  clients: ids(await companies({ conditions: 'deletedFlag=False and status/name="Active"', childConditions: 'types/name="Client"', orderBy: 'id desc' })),
  projected: (await companies({ fields: 'id,name', conditions: `id=${input.one}` })),
  count: await cwm.CompanyAPI.getCompanyCompaniesCount({ conditions: 'deletedFlag=false' }),
  statuses: (await cwm.CompanyAPI.getCompanyCompaniesStatuses({})).map((s) => s.name),
  types: (await cwm.CompanyAPI.getCompanyCompaniesTypes({})).map((t) => t.name),
  badName: await failure(cwm.CompanyAPI.getCompanyCompanies({ conditions: 'nonsense=1' })),
  missing: await failure(cwm.CompanyAPI.getCompanyCompaniesById(1)),
}
const ticket = await cwm.ServiceAPI.postServiceTickets({ summary: 'from npm', company: { id: input.one } })
out.ticket = ticket.id
const renamed = await cwm.CompanyAPI.patchCompanyCompaniesById(input.one, [{ op: 'replace', path: 'name', value: 'Renamed by npm' }])
out.renamed = renamed.name
// A delivery that the simulator has sent: is its signature the one that others expect?
out.verified = utils.Callback.verifyMessage(JSON.parse(input.delivery), input.signature, input.signingKey)
out.forged = utils.Callback.verifyMessage({ ...JSON.parse(input.delivery), ID: 1 }, input.signature, input.signingKey)
process.stdout.write(JSON.stringify(out))
