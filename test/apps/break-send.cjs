// Loaded before the agent: no handle ever reaches the supervisor, as when it has no descriptors left.
'use strict';
const { send } = process;
process.send = (message, handle, options, done) => {
  if (message.type !== 'connection') return send.call(process, message, handle, options, done);
  process.nextTick(done, new Error('broken for the test'));
  return true;
};
