/** A warning of Node's (a leaked listener, a deprecated call) in a test is a defect: fail the run. */
process.on('warning', (warning) => {
  throw warning;
});
