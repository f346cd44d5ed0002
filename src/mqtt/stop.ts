/** Why a connection is not read; each reason goes on until whoever gave it takes it back. */
export const stop = { signIn: 1, journal: 2, backlog: 4, rate: 8 } as const
export type Stop = (typeof stop)[keyof typeof stop]
