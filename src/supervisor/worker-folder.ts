/** The private folder for the sockets of an instance's workers. */
import { mkdirSync, rmSync } from 'node:fs';
import { workerFolderPath } from '../config/paths.ts';

export interface WorkerFolder {
  readonly path: string;
  /**
   * Makes it, without what a killed instance left. Only who holds the control socket may: the
   * folder of a name belongs to the instance that answers to that name.
   */
  open(): void;
  /** Removes it, if it was opened. */
  close(): void;
}

/** `name`: of the instance. */
export function createWorkerFolder(name: string): WorkerFolder {
  const path = workerFolderPath(name, process.env);
  let isOpen = false;
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  return {
    path,
    open() {
      remove();
      mkdirSync(path, { mode: 0o700 });
      isOpen = true;
    },
    close() {
      if (isOpen) remove();
    },
  };
}
