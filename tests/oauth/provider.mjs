// A real OpenID provider for the tests: node provider.mjs '{"port": 1, "cert": FILE, "key": FILE}'. It prints "ready".
// Clients: app (client credentials), web (public, authorization code with PKCE), lark (introspection). A resource is an audience
// of Lark's: .../jwt gives JWT access tokens (RFC 9068), .../opaque opaque ones. With "control": true it lives as long as its
// standard input is open, and a line there changes it: {"rotate": true} new keys, {"skew_s": 90} its clock, {"life_s": 5} of new
// tokens.
import {readFileSync} from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';

import {exportJWK, generateKeyPair} from 'jose';
import Provider from 'oidc-provider';

console.info = console.warn = () => {}; // it warns of what a test may do; standard output is ours
const given = JSON.parse(process.argv[2]);
const issuer = `https://localhost:${given.port}`;
const audience = 'https://lark.example';
const now = Date.now;
const state = {skew_s: 0, life_s: 600, generation: 0};
Date.now = () => now() + state.skew_s * 1000;

// One memory for all generations of the provider.
const memory = new Map();
class Adapter {
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  async upsert(id, payload) {
    memory.set(this.key(id), payload);
    if (payload.grantId) {
      const key = `grant:${payload.grantId}`;
      memory.set(key, [...memory.get(key) ?? [], this.key(id)]);
    }
    if (payload.uid) memory.set(`uid:${payload.uid}`, id);
  }
  async find(id) { return memory.get(this.key(id)); }
  async findByUid(uid) { return this.find(memory.get(`uid:${uid}`)); }
  async findByUserCode() {}
  async consume(id) { memory.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { memory.delete(this.key(id)); }
  async revokeByGrantId(grantId) { for (const key of memory.get(`grant:${grantId}`) ?? []) memory.delete(key); }
}

async function newKeys() {
  state.generation += 1;
  const kinds = [['RS256', {modulusLength: 2048}], ['PS256', {modulusLength: 2048}], ['ES256', {}], ['EdDSA', {crv: 'Ed25519'}]];
  return Promise.all(kinds.map(async ([alg, options]) => {
    const {privateKey} = await generateKeyPair(alg, {...options, extractable: true});
    return {...await exportJWK(privateKey), alg, use: 'sig', kid: `${alg}-${state.generation}`};
  }));
}

function resource(_ctx, indicator) {
  const [, kind, alg] = /^https:\/\/lark\.example\/(jwt|opaque)(?:\/(\w+))?$/.exec(indicator) ?? [];
  return {
    scope: 'read:get read:ttl write:set admin', audience, accessTokenTTL: state.life_s, accessTokenFormat: kind,
    jwt: {sign: {alg: alg ?? 'RS256'}},
  };
}

async function make() {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: [
      {client_id: 'app', client_secret: 'app+secret/of the test', grant_types: ['client_credentials'], redirect_uris: [],
        response_types: []},
      {client_id: 'web', token_endpoint_auth_method: 'none', grant_types: ['authorization_code'],
        redirect_uris: ['https://app.example/callback']},
      {client_id: 'lark', client_secret: 'lark:secret & more', grant_types: [], redirect_uris: [], response_types: []},
    ],
    cookies: {keys: ['only a test']},
    enabledJWA: {clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA']},
    extraTokenClaims: (_ctx, token) => ({tenant: token.accountId ?? token.clientId}),
    features: {
      clientCredentials: {enabled: true},
      introspection: {enabled: true},
      revocation: {enabled: true},
      resourceIndicators: {enabled: true, defaultResource: () => `${audience}/jwt`, getResourceServerInfo: resource},
    },
    findAccount: (_ctx, id) => ({accountId: id, claims: () => ({sub: id})}),
    jwks: {keys: await newKeys()},
    pkce: {required: () => true},
    ttl: {ClientCredentials: () => state.life_s, AccessToken: () => state.life_s, Grant: 3600, Interaction: 600, Session: 3600},
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider.callback();
}

let answer = await make();
const server = https.createServer({cert: readFileSync(given.cert), key: readFileSync(given.key)}, (...both) => answer(...both));
server.listen(given.port, 'localhost', () => console.log('ready'));

if (given.control) readline.createInterface({input: process.stdin}).on('line', async (line) => {
  const {rotate, ...rest} = JSON.parse(line);
  Object.assign(state, rest);
  if (rotate) answer = await make();
  console.log('done');
}).on('close', () => process.exit(0));
