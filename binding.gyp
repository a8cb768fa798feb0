# The fallback build, CPU only, for a machine without CMake. gyp has no flags per file, hence one static library per group.
# The lists come from native/sources.json, as in CMakeLists.txt; CI compares the kernels that both builds register.
{
  'target_defaults': {
    'include_dirs': ['native', '<!@(node scripts/sources.mjs includes)'],
    'defines': ['<!@(node scripts/sources.mjs defines)'],
    'cflags': ['-fPIC'],
    'cflags_cc': [
      '-std=c++17',
      '<!@(node scripts/sources.mjs flags common)',
      '<!@(node scripts/sources.mjs flags release)',
    ],
  },
  'targets': [
    {
      'target_name': 'pushforward',
      'dependencies': ['reference', 'kernels_baseline', 'kernels_avx2', 'kernels_avx512'],
      'sources': ['<!@(node scripts/sources.mjs sources core)'],
      'cflags_cc': ['<!@(node scripts/sources.mjs flags core)'],
      # Nothing refers to a kernel by name, so the linker would drop every archive member without a word.
      'ldflags': ['-pthread', '-Wl,--whole-archive'],
      'libraries': ['-Wl,--no-whole-archive', '-ldl'],
    },
    {
      'target_name': 'reference',
      'type': 'static_library',
      'sources': ['native/gyp/anchor.cpp', '<!@(node scripts/sources.mjs sources reference)'],
      'cflags_cc': ['<!@(node scripts/sources.mjs flags reference)'],
    },
    {
      'target_name': 'kernels_baseline',
      'type': 'static_library',
      'defines': ['PUSHFORWARD_ISA=baseline'],
      'sources': ['native/gyp/anchor.cpp', '<!@(node scripts/sources.mjs sources baseline)'],
      'cflags_cc': ['<!@(node scripts/sources.mjs flags baseline)'],
    },
    {
      'target_name': 'kernels_avx2',
      'type': 'static_library',
      'defines': ['PUSHFORWARD_ISA=avx2'],
      'sources': ['native/gyp/anchor.cpp', '<!@(node scripts/sources.mjs sources avx2)'],
      'cflags_cc': ['<!@(node scripts/sources.mjs flags avx2)'],
    },
    {
      'target_name': 'kernels_avx512',
      'type': 'static_library',
      'defines': ['PUSHFORWARD_ISA=avx512'],
      'sources': ['native/gyp/anchor.cpp', '<!@(node scripts/sources.mjs sources avx512)'],
      'cflags_cc': ['<!@(node scripts/sources.mjs flags avx512)'],
    },
  ],
}
