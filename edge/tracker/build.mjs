// recount.src.js -> recount.js; beside it the brotli encoding that the ingest serves, and what the build was made of.
// `node build.mjs [folder]`: writes into the folder, by default into this one. Fails beyond the size limit.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { minify } from "terser";

const BROTLI_MAX_BYTES = 1000;

const here = import.meta.dirname;
const target = process.argv[2] ?? here;
const sources = ["recount.src.js", "build.mjs", "package-lock.json"].map((name) => readFileSync(join(here, name)));
const { code } = await minify(sources[0].toString(), {
  ecma: 2020,
  toplevel: true,
  compress: { passes: 4, pure_getters: true, unsafe: true, unsafe_arrows: true, unsafe_methods: true },
  format: { comments: false },
});
const brotli = brotliCompressSync(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });

console.log(`recount.js: ${code.length} bytes, ${brotli.length} with brotli (at most ${BROTLI_MAX_BYTES})`);
if (brotli.length > BROTLI_MAX_BYTES) process.exit(1);
writeFileSync(join(target, "recount.js"), code);
writeFileSync(join(target, "recount.js.br"), brotli);
writeFileSync(
  join(target, "recount.build.json"),
  JSON.stringify({ sources_sha256: createHash("sha256").update(Buffer.concat(sources)).digest("hex") }) + "\n",
);
