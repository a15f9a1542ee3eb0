// Access tokens for the benchmark: node tokens.mjs ALG N FILE prints a key set, and writes N tokens into FILE, a line each.
import crypto from 'node:crypto';
import fs from 'node:fs';

const [alg, n, file] = process.argv.slice(2);
const pair = alg === 'RS256' ? crypto.generateKeyPairSync('rsa', {modulusLength: 2048}) : crypto.generateKeyPairSync('ed25519');
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = Math.floor(Date.now() / 1000);
const head = encode({alg, kid: 'bench', typ: 'at+jwt'});
let lines = '';
for (let i = 0; i < n; i++) {
  const text = `${head}.${encode({
    iss: 'https://issuer.example', aud: 'bench', sub: 'bench', client_id: 'bench', iat: now, exp: now + 86400, scope: 'admin',
    jti: String(i),
  })}`;
  const signature = crypto.sign(alg === 'RS256' ? 'sha256' : null, Buffer.from(text), pair.privateKey);
  lines += `${text}.${signature.toString('base64url')}\n`;
}
fs.writeFileSync(file, lines);
console.log(JSON.stringify({keys: [{...pair.publicKey.export({format: 'jwk'}), kid: 'bench', alg}]}));
