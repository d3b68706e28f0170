export function sourceFiles(): string[];
export function summaryOf(source: string): string | null;
export function withMap(page: string): string;
