// A maker and a judge of JWTs for the tests, on npm's jose and Node's own crypto: a line of JSON in, a line of JSON out, as long as
// its standard input is open.
//   {"do": "keys"}                                   the public keys: {"rsa": JWK, "other": JWK, "ec": JWK, "ed": JWK}
//   {"do": "token", "key", "header", "claims"}       a token, by jose
//   {"do": "signature", "key", "alg", "text"}        of any text, by Node: for tokens that jose would not make
//   {"do": "verify", "token", "jwks", "options"}     what jose says: true, or the error's code
import crypto from 'node:crypto';
import readline from 'node:readline';

import * as jose from 'jose';

const pairs = {
  rsa: crypto.generateKeyPairSync('rsa', {modulusLength: 2048}),
  other: crypto.generateKeyPairSync('rsa', {modulusLength: 2048}),
  ec: crypto.generateKeyPairSync('ec', {namedCurve: 'P-256'}),
  ed: crypto.generateKeyPairSync('ed25519'),
};

const makers = {
  keys: () => Object.fromEntries(
    Object.entries(pairs).map(([name, pair]) => [name, pair.publicKey.export({format: 'jwk'})])),

  token: ({key, header, claims}) => new jose.SignJWT(claims).setProtectedHeader(header).sign(pairs[key].privateKey),

  signature({key, alg, text}) {
    const data = Buffer.from(text);
    if (alg === 'HS256') { // with the public key as its secret: RFC 8725 section 2.1
      const secret = pairs[key].publicKey.export({format: 'pem', type: 'spki'});
      return crypto.createHmac('sha256', secret).update(data).digest('base64url');
    }
    const options = {
      RS256: {}, PS256: {padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32},
      ES256: {dsaEncoding: 'ieee-p1363'}, EdDSA: {},
    }[alg];
    return crypto.sign(alg === 'EdDSA' ? null : 'sha256', data, {key: pairs[key].privateKey, ...options})
      .toString('base64url');
  },

  async verify({token, jwks, options}) {
    try {
      await jose.jwtVerify(token, jose.createLocalJWKSet(jwks), options);
      return true;
    } catch (error) {
      return error.code ?? error.name;
    }
  },
};

for await (const line of readline.createInterface({input: process.stdin})) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(await makers[request.do](request)));
}
