/** The public API of Cofferdam. */
export { CofferdamError, ERRORS, EXIT, type ErrorCode, type ExitCode } from './errors.ts';
