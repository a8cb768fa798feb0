# Stands in for the common.gypi of a Node.js source tree, so that node-gyp downloads no headers (--nodedir=native/gyp).
{
  'target_defaults': {
    'default_configuration': 'Release',
    'configurations': { 'Release': {} },
  },
}
