import { StorageError } from '../core/store.ts'
import type { BoundStatement, Driver, StatementResult } from './driver.ts'

export type RunStatement = (statement: BoundStatement) => Promise<StatementResult>

/**
 * Runs `fn` in a transaction of the driver and commits. When `fn` throws, or is not done after `timeoutMs`, all is rolled
 * back; what it still tries after that fails, so that it can never write into somebody else's transaction.
 */
export async function runTransaction<T>(
  driver: Driver,
  fn: (run: RunStatement) => Promise<T>,
  timeoutMs: number,
): Promise<T> {
  const transaction = await driver.begin()
  let open = true
  // Statements that `fn` does not wait for still go one after the other, and are over before the end.
  let last: Promise<unknown> = Promise.resolve()
  const run: RunStatement = (statement) => {
    if (!open) return Promise.reject(new StorageError('timeout', 'The transaction has ended'))
    const result = last.then(() => transaction.run(statement))
    last = result.catch(() => undefined)
    return result
  }
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StorageError('timeout', `A transaction took longer than ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    const value = await Promise.race([fn(run), deadline])
    open = false
    await last
    await transaction.commit()
    return value
  } catch (error) {
    open = false
    await last
    await transaction.rollback()
    throw error
  } finally {
    clearTimeout(timer)
  }
}
