// Expands native/sources.json. binding.gyp asks it for lists; CMakeLists.txt expands the same file by the same rules.
//   node scripts/sources.mjs sources core|reference|<isa>   files, sorted, one a line
//   node scripts/sources.mjs flags common|release|core|reference|<isa>
//   node scripts/sources.mjs defines | includes
//   node scripts/sources.mjs check                          every native/**/*.cpp belongs to exactly one group
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const table = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8'));

/** `folder/prefix*suffix`, one star at most, in the last part only: what CMake's file(GLOB) takes too. */
function glob(pattern) {
  const folder = dirname(pattern);
  const [prefix, suffix] = pattern.slice(folder.length + 1).split('*');
  if (suffix === undefined) return existsSync(join(root, pattern)) ? [pattern] : [];
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder))
    .filter((name) => name.startsWith(prefix) && name.endsWith(suffix))
    .map((name) => `${folder}/${name}`);
}

function sources(group) {
  const { globs, exclude } = table.groups[group];
  return globs
    .flatMap(glob)
    .filter((file) => !new RegExp(exclude).test(file))
    .sort();
}

function isa(name) {
  const entry = table.isas[name];
  if (!entry) throw new Error(`[sources] expected one of ${Object.keys(table.isas).join(', ')} but received ${name}`);
  return { ...entry, built: new RegExp(entry.processors).test(process.arch) };
}

function list(what, name) {
  switch (what) {
    case 'sources':
      if (table.groups[name]) return sources(name);
      return isa(name).built ? sources('kernels') : [];
    case 'flags':
      if (name === 'common') return table.flags;
      if (name === 'release') return process.env.PUSHFORWARD_DEBUG ? ['-O0'] : table.release;
      if (table.groups[name]) return table.groups[name].flags;
      return isa(name).built ? [...table.groups.kernels.flags, ...isa(name).flags] : [];
    case 'defines':
      return table.defines;
    case 'includes': {
      const require = createRequire(import.meta.url);
      return [require('node-api-headers').include_dir, require('node-addon-api').include_dir];
    }
    case 'check': {
      const all = readdirSync(join(root, 'native'), { recursive: true })
        .map((name) => `native/${name}`)
        .filter((name) => name.endsWith('.cpp') && !name.startsWith('native/gyp/'));
      const owners = Object.keys(table.groups).flatMap(sources);
      const wrong = all.filter((file) => owners.filter((owned) => owned === file).length !== 1);
      if (wrong.length > 0)
        throw new Error(`[sources] no group, or two, in native/sources.json for ${wrong.join(', ')}`);
      return [];
    }
    default:
      throw new Error(`[sources] expected sources, flags, defines, includes or check but received ${what}`);
  }
}

for (const line of list(process.argv[2], process.argv[3])) console.log(line);
