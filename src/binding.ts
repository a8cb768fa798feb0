// Loads the addon: the one place that knows where it lies. The path is the same from src/ and from dist/.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeBinding } from './native.ts';

const remedy = 'run `npx pushforward build`, or `npm install-scripts approve pushforward && npm rebuild pushforward`';
const builds: readonly string[] = ['build/cmake/Release', 'build/Release'].map((folder) =>
  fileURLToPath(new URL(`../${folder}/pushforward.node`, import.meta.url)),
);

const chosen = process.env.PUSHFORWARD_ADDON;

/** The addon to load: `PUSHFORWARD_ADDON`, else the CMake build, else the node-gyp build; `undefined` where none is built. */
export const addonPath: string | undefined = chosen ? resolve(chosen) : builds.find((file) => existsSync(file));

function load(): NativeBinding {
  if (addonPath === undefined) {
    throw new Error(
      `[pushforward] expected a built native addon but received none at ${builds.join(' or ')}: ${remedy}`,
    );
  }
  try {
    return createRequire(import.meta.url)(addonPath) as NativeBinding;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`[pushforward] expected a loadable native addon but received ${addonPath} (${reason}): ${remedy}`, {
      cause,
    });
  }
}

/** The native side. */
export const native: NativeBinding = load();
