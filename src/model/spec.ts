// Every network's specification: plain data, told apart by `network`. Each network file exports its own.
export type ModelSpec = { network: string; [setting: string]: unknown };
