// Hostile programs: whatever bytes arrive, the native side gives a plan or a PushforwardError's code, in less than two seconds, and lives.
import { spawnSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { encodeProgram, type Program, type ProgramNode } from '../src/trace/encode.ts';
import { below, generator, pick } from './cases/index.ts';
import { input, newSession, node, outcome, program, refused, valid } from './support/hostile.ts';

test('the programs themselves compile, fused and unfused', () => {
  const session = newSession();
  for (const [name, bytes] of valid) {
    for (const fuse of [true, false]) assert.is(outcome(name, bytes, session, fuse), 'plan', name);
  }
  session.dispose();
});

test('cut off at any byte, a program is refused', () => {
  const session = newSession();
  for (const [name, bytes] of valid) {
    for (let length = 0; length < bytes.length; length++) {
      assert.is(
        outcome(`${name} cut at ${length}`, bytes.subarray(0, length), session),
        'INVALID_ARGUMENT',
        `${name} cut at ${length}`,
      );
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    assert.is(outcome(`${name} and a byte`, longer, session), 'INVALID_ARGUMENT');
  }
  session.dispose();
});

test('with bytes altered at random, it is refused or another program', () => {
  const random = generator(31);
  const counts = new Map<string, number>();
  for (const [name, bytes] of valid) {
    let session = newSession();
    for (let i = 0; i < 1500; i++) {
      const altered = bytes.slice();
      for (let flips = 1 + below(random, 3); flips > 0; flips--) {
        const at = below(random, altered.length);
        altered[at] = pick(random, [
          altered[at]! ^ (1 << below(random, 8)),
          0,
          1,
          0x7f,
          0x80,
          0xff,
          below(random, 256),
        ]);
      }
      const result = outcome(`${name}, alteration ${i}`, altered, session, i % 2 === 0);
      counts.set(result, (counts.get(result) ?? 0) + 1);
      // Altered parameters stay in the session's store.
      if (i % 100 === 99) {
        session.dispose();
        session = newSession();
      }
    }
    session.dispose();
  }
  assert.ok((counts.get('plan') ?? 0) > 50 && (counts.get('INVALID_ARGUMENT') ?? 0) > 500, JSON.stringify([...counts]));
});

test('headers', () => {
  const [, bytes] = valid[0]!;
  const withWord = (at: number, word: number): Uint8Array => {
    const altered = bytes.slice();
    new DataView(altered.buffer).setUint32(at, word, true);
    return altered;
  };
  refused('another magic number', withWord(0, 0x44574651), 'INVALID_ARGUMENT');
  refused('an older version', withWord(4, 0), 'VERSION');
  refused('a newer version', withWord(4, 2), 'VERSION');
  for (const count of [2 ** 20 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
    refused(`${count} nodes`, withWord(8, count), 'INVALID_ARGUMENT');
  for (const count of [2 ** 31 - 1, 2 ** 32 - 1])
    refused(`a name of ${count} bytes`, withWord(12, count), 'INVALID_ARGUMENT');
});

test('what is no program at all', () => {
  const session = newSession();
  for (const wrong of [
    undefined,
    null,
    3,
    'PFWD',
    {},
    [],
    new Float32Array(8),
    new ArrayBuffer(64),
    new Int8Array(64),
  ]) {
    for (const call of [() => native.infer(wrong as never), () => session.compile(wrong as never, true)]) {
      let code: unknown;
      try {
        call();
      } catch (error) {
        code = (error as { code?: unknown }).code;
      }
      assert.is(code, 'INVALID_ARGUMENT', String(wrong));
    }
  }
  session.dispose();
  assert.throws(
    () => session.compile(valid[0]![1], true),
    (error: { code?: string }) => error.code === 'DISPOSED',
  );
});

test('names and numbers of values that do not exist', () => {
  refused('an unknown op', program(node('frobnicate')), 'INVALID_ARGUMENT');
  refused('an op without a name', program(node('')), 'INVALID_ARGUMENT');
  refused('an op with a very long name', program(node('x'.repeat(100_000))), 'INVALID_ARGUMENT');
  refused('an op that only fusion makes', program(input([3]), node('chain', [0])), 'INVALID_ARGUMENT');
  refused('an input not yet defined', program(input([3]), node('exp', [1])), 'INVALID_ARGUMENT');
  refused('an input far away', program(input([3]), node('exp', [0xfffffffe])), 'INVALID_ARGUMENT');
  refused('no input', program(input([3]), node('exp', [])), 'INVALID_ARGUMENT');
  refused('an absent input', program(input([3]), node('exp', [-1])), 'INVALID_ARGUMENT');
  refused('an absent second input', program(input([3]), node('add', [0, -1])), 'INVALID_ARGUMENT');
  refused('three inputs of two', program(input([3]), node('add', [0, 0, 0])), 'INVALID_ARGUMENT');
  refused('an input of an input', program(input([3]), node('input', [0], { shape: [3] })), 'INVALID_ARGUMENT');
  refused('an output not defined', { nodes: [input([3])], outputs: [1] }, 'INVALID_ARGUMENT');
  refused('an absent output', { nodes: [input([3])], outputs: [-1] }, 'INVALID_ARGUMENT');
  refused('an output of nothing', { nodes: [], outputs: [0] }, 'INVALID_ARGUMENT');
});

test('attributes: unknown, missing, of another kind, NaN, out of range', () => {
  const on = (op: string, attributes: ProgramNode['attributes'], ...shapes: number[][]): Program =>
    program(...shapes.map((shape) => input(shape)), node(op, [...shapes.keys()], attributes));
  const bad = ['INVALID_ARGUMENT', 'SHAPE_MISMATCH', 'DTYPE_MISMATCH'];
  refused('unknown', on('exp', { speed: 3 }, [3]), 'INVALID_ARGUMENT');
  refused('missing', on('reshape', {}, [3]), 'INVALID_ARGUMENT');
  refused('text for a list', on('reshape', { shape: '3' }, [3]), 'INVALID_ARGUMENT');
  refused('data for a list', on('reshape', { shape: Float64Array.of(3) }, [3]), 'INVALID_ARGUMENT');
  refused('a number for a text', on('dense', { activation: 3 }, [3, 2], [2, 2]), 'INVALID_ARGUMENT');
  for (const activation of ['', 'swish', 'add', 'where', 'chain', 'x'.repeat(1000)]) {
    refused(`activation '${activation.slice(0, 10)}'`, on('dense', { activation }, [3, 2], [2, 2]), 'INVALID_ARGUMENT');
  }
  for (const number of [Number.NaN, Infinity, -Infinity, 1e300, -1e300, 2 ** 63, -(2 ** 63), 2, -3, 0.5]) {
    for (const op of ['softmax', 'logSoftmax'])
      refused(`${op} along ${number}`, on(op, { axis: number }, [3, 2]), ...bad);
    refused(`concat along ${number}`, on('concat', { axis: number }, [3, 2], [3, 2]), ...bad);
    if (number !== 0.5)
      refused(
        `directions ${number}`,
        program(input([3]), node('call', [0, 0], { transform: 'jvp', directions: number }, [identity])),
        ...bad,
      );
    refused(
      `unpick of ${number} classes`,
      program(input([3]), input([3], 'int32'), node('unpick', [0, 1], { classes: number === 2 ? -1 : number })),
      ...bad,
    );
    for (const name of ['stream', 'parameter', 'directions', 'firstDirection', 'rank', 'fixedStep']) {
      if (number === 2) continue;
      refused(`random with ${name} ${number}`, program(node('random', [], { shape: [4], [name]: number })), ...bad);
    }
  }
  for (const axes of [[2], [-3], [0, 0], [0, -2], [2 ** 40], [-(2 ** 53)], Array.from({ length: 1000 }, () => 0)]) {
    for (const op of ['sum', 'mean', 'max', 'logSumExp'])
      refused(`${op} over ${axes.slice(0, 4)}`, on(op, { axis: axes }, [3, 2]), ...bad);
  }
  for (const permutation of [[0], [0, 0], [0, 2], [1, -3], [0, 1, 2], [2 ** 40, 0], [-(2 ** 53), 1]]) {
    refused(`transpose by ${permutation}`, on('transpose', { permutation }, [3, 2]), ...bad);
  }
  for (const shape of [
    [5],
    [-1, -1],
    [-2, 3],
    [0, -1],
    [2 ** 33, 2 ** 33],
    [-1, 4],
    [2 ** 53, -1],
    [-(2 ** 53)],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 6],
  ]) {
    refused(`reshape to ${shape}`, on('reshape', { shape }, [3, 2]), ...bad);
    refused(`broadcast to ${shape}`, on('broadcast', { shape }, [3, 2]), ...bad);
  }
  refused('reshape of nothing to -1', on('reshape', { shape: [0, -1] }, [0, 3]), ...bad, 'plan');
  const big = 2 ** 53 - 1;
  for (const [start, size] of [
    [[0], [1]],
    [
      [0, 0],
      [4, 2],
    ],
    [
      [3, 0],
      [1, 1],
    ],
    [
      [-4, 0],
      [1, 1],
    ],
    [
      [0, 0],
      [-2, 1],
    ],
    [
      [big, 0],
      [big, 1],
    ],
    [
      [1, 0],
      [big, 1],
    ],
    [
      [0, 0, 0],
      [1, 1, 1],
    ],
  ] as const) {
    refused(`slice ${start} ${size}`, on('slice', { start, size }, [3, 2]), ...bad);
  }
  for (const [before, after] of [
    [[0], [0]],
    [
      [-1, 0],
      [0, 0],
    ],
    [
      [0, 0],
      [-4, 0],
    ],
    [
      [big, 0],
      [big, 0],
    ],
    [
      [2 ** 40, 0],
      [0, 2 ** 40],
    ],
  ] as const) {
    refused(`pad ${before} ${after}`, on('pad', { before, after }, [3, 2]), ...bad);
  }
  refused(
    'random of a distribution unknown',
    program(node('random', [], { shape: [4], distribution: 'cauchy' })),
    ...bad,
  );
  refused(
    'a constant with too little data',
    program(node('constant', [], { shape: [4], dtype: 'real', data: Float64Array.of(1) })),
    ...bad,
  );
  refused(
    'a constant of text',
    program(node('constant', [], { shape: [4], dtype: 'text', data: Float64Array.of(1) })),
    ...bad,
  );
  refused('labels that are real', on('softmaxCrossEntropy', {}, [3, 2], [3]), ...bad);
  refused('a condition that is real', on('where', {}, [3], [3], [3]), ...bad);
  refused('an exponential of integers', program(input([3], 'int32'), node('exp', [0])), ...bad);
});

const identity: Program = { nodes: [input([3])], outputs: [0] };

test('shapes that overflow size_t or memory', () => {
  const bad = ['SHAPE_MISMATCH', 'OUT_OF_MEMORY', 'INVALID_ARGUMENT'];
  for (const shape of [
    [-1],
    [2 ** 31, 2 ** 31],
    [2 ** 32, 2 ** 32],
    [2 ** 53],
    [2 ** 21, 2 ** 21, 2 ** 22],
    [2 ** 41],
    [0, 2 ** 41],
    Array.from({ length: 10 }, () => 1),
  ]) {
    refused(`an input ${shape}`, program(input(shape)), ...bad);
    refused(`full ${shape}`, program(node('full', [], { shape, value: 1 })), ...bad);
    refused(`random ${shape}`, program(node('random', [], { shape })), ...bad);
    refused(`a parameter ${shape}`, program(node('parameter', [], { name: 'p', shape })), ...bad);
    refused(`broadcast to ${shape}`, program(input([1]), node('broadcast', [0], { shape })), ...bad);
  }
  // 2⁴⁰ elements are a shape; no machine of ours has 4 TB.
  const huge = [2 ** 20, 2 ** 20];
  const use = (made: ProgramNode): Program => ({ nodes: [made, node('exp', [0])], outputs: [1] });
  const enough = ['OUT_OF_MEMORY', 'plan'];
  refused('a huge parameter', use(node('parameter', [], { name: 'p', shape: huge })), 'OUT_OF_MEMORY');
  refused('a huge full', use(node('full', [], { shape: huge, value: 1 })), ...enough);
  refused('a huge random', use(node('random', [], { shape: huge })), ...enough);
  refused('a huge input', use(input(huge)), ...enough);
  const product = (a: number[], b: number[]): Program => ({
    nodes: [input(a), input(b), node('matmul', [0, 1])],
    outputs: [2],
  });
  refused('a product beyond 2^40', product([2 ** 21, 1], [1, 2 ** 20]), ...bad);
  refused(
    'an outer sum beyond 2^40',
    { nodes: [input([2 ** 21, 1]), input([2 ** 20]), node('add', [0, 1])], outputs: [2] },
    ...bad,
  );
  refused(
    'directions times elements beyond 2^40',
    program(input([2 ** 20]), node('random', [], { shape: [2 ** 20], directions: 2 ** 21 })),
    ...bad,
  );
  const twice = Array.from({ length: 30 }, (_, i) => node('concat', [i, i], { axis: 0 }));
  refused('thirty doublings', { nodes: [input([2 ** 15]), ...twice], outputs: [30] }, ...bad);
});

test('a run that needs more memory than there is, is refused', async () => {
  const session = newSession();
  const plan = session.compile(
    encodeProgram({ nodes: [node('random', [], { shape: [2 ** 38] }), node('sum', [0], {})], outputs: [1] }),
    true,
  );
  try {
    await plan.run({ inputs: [], keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, 'OUT_OF_MEMORY');
  }
  session.dispose();
});

test('programs inside programs: too deep, and too many derivatives of derivatives', () => {
  let inner: Program = { nodes: [input([3])], outputs: [0] };
  for (let depth = 0; depth < 40; depth++)
    inner = { nodes: [input([3]), node('call', [0], { transform: 'none' }, [inner])], outputs: [1] };
  refused('40 deep', inner, 'INVALID_ARGUMENT');
  // Each jvp of a product has three times the nodes: 3^16 at the deepest.
  for (const depth of [4, 8, 15]) {
    let nested: Program = {
      nodes: [input([3]), node('mul', [0, 0]), node('sin', [1]), node('mul', [2, 0])],
      outputs: [3],
    };
    for (let i = 0; i < depth; i++)
      nested = { nodes: [input([3]), node('call', [0, 0], { transform: 'jvp' }, [nested])], outputs: [2] };
    refused(`${depth} jvps`, nested, 'plan', 'INVALID_ARGUMENT', 'SHAPE_MISMATCH', 'OUT_OF_MEMORY');
  }
  for (const depth of [4, 15]) {
    let nested: Program = {
      nodes: [input([]), node('mul', [0, 0]), node('sin', [1]), node('mul', [2, 0])],
      outputs: [3],
    };
    for (let i = 0; i < depth; i++)
      nested = { nodes: [input([]), node('call', [0, 0], { transform: 'vjp', wrt: [0] }, [nested])], outputs: [2] };
    refused(`${depth} vjps`, nested, 'plan', 'INVALID_ARGUMENT', 'OUT_OF_MEMORY');
  }
  refused(
    'a call without a program',
    program(input([3]), node('call', [0], { transform: 'none' })),
    'INVALID_ARGUMENT',
  );
  refused(
    'a call with two',
    program(input([3]), node('call', [0], { transform: 'none' }, [identity, identity])),
    'INVALID_ARGUMENT',
  );
  refused('an exp with a program', program(input([3]), node('exp', [0], {}, [identity])), 'INVALID_ARGUMENT', 'plan');
  refused(
    'a transformation unknown',
    program(input([3]), node('call', [0], { transform: 'vmap' }, [identity])),
    'INVALID_ARGUMENT',
  );
  refused(
    'a call with an argument too few',
    program(input([3]), node('call', [], { transform: 'none' }, [identity])),
    'INVALID_ARGUMENT',
  );
  refused(
    'a call with another shape',
    program(input([4]), node('call', [0], { transform: 'none' }, [identity])),
    'SHAPE_MISMATCH',
  );
  for (const wrt of [[1], [-1], [2 ** 40]]) {
    refused(
      `wrt ${wrt}`,
      program(input([3]), node('call', [0, 0], { transform: 'vjp', wrt }, [identity])),
      'INVALID_ARGUMENT',
    );
  }
});

test('optional inputs left out at the end, and operands that fusion makes', () => {
  const w = node('parameter', [], { name: 'w', shape: [3] });
  const wanting: [string, Program][] = [
    ...(['sgd', 'adam', 'adamW'] as const).flatMap((op): [string, Program][] => [
      [`${op} of one input`, program(w, node(op, [0]))],
      [`${op} of four`, program(w, input([3]), node(op, [0, -1, -1, 1]))],
      [`${op} by a product of scalars`, program(w, input([]), node(op, [0, -1, -1, -1, -1, 1, 1]))],
      [`${op} by a product of other shapes`, program(w, input([2, 9]), node(op, [0, -1, -1, -1, -1, 1, 1]))],
      [`${op} by coefficients of no tangent`, program(w, input([2]), node(op, [0, -1, -1, -1, 1, -1, -1]))],
      [`${op} of what is no parameter`, program(input([3]), node(op, [0, -1, -1, 0, -1, -1, -1]))],
      [`${op} by a law`, program(w, input([2]), node(op, [0, -1, -1, -1, 1, -1, -1], { 'tangent.kind': 99 }))],
    ]),
    ['dense_pushforward of two', program(input([2, 3]), input([3, 4]), node('dense_pushforward', [0, 1]))],
    ['dense_pushforward of five', program(input([2, 3]), input([3, 4]), node('dense_pushforward', [0, 1, -1, -1, -1]))],
  ];
  // In a process of its own: the end of that is a failure here, not the end of all tests.
  const source = `
    import { native } from ${JSON.stringify(new URL('../src/binding.ts', import.meta.url).href)};
    for (const [name, hex] of ${JSON.stringify(wanting.map(([name, each]) => [name, Buffer.from(encodeProgram(each)).toString('hex')]))}) {
      let result = 'plan';
      process.stdout.write(name + ': ');
      const session = new native.Session('cpu', '', 1);
      try {
        const plan = session.compile(new Uint8Array(Buffer.from(hex, 'hex')), true);
        const inputs = hex.includes('696e707574') ? [new Float32Array(name.includes('scalars') ? 1 : name.includes('other') ? 18 : name.includes('coeff') || name.includes('law') ? 2 : 3)] : [];
        await plan.run({ inputs, keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1, rates: Float64Array.of(1) });
      } catch (error) {
        result = error.code;
      }
      console.log(result);
    }`;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    encoding: 'utf8',
  });
  assert.is(child.signal, null, `ended by ${child.signal} after:\n${child.stdout}`);
  const results = child.stdout.trim().split('\n');
  assert.is(results.length, wanting.length, child.stdout + child.stderr);
  const accepted = results.filter((each) => !/: (INVALID_ARGUMENT|SHAPE_MISMATCH)$/.test(each));
  assert.equal(accepted, []);
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('ten thousand refusals and plans leave no memory behind', async () => {
  const [, bytes] = valid[1]!;
  const round = async (): Promise<void> => {
    const session = newSession();
    for (let i = 0; i < 500; i++) {
      session.compile(bytes, true);
      try {
        session.compile(bytes.subarray(0, bytes.length - 1 - (i % 40)), true);
      } catch {}
    }
    session.dispose();
    collect();
    await new Promise(setImmediate); // finalizers run between turns of the event loop
  };
  for (let i = 0; i < 4; i++) await round();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 10; i++) await round();
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 40e6, `${(grown / 1e6).toFixed(1)} MB`);
});

test.run();
