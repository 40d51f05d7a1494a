// What control's side of the tests may know of the module beside this file; the process runs it as it is.
export function statementsOf(sql: string): string[];
