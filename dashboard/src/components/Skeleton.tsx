const times = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function SkeletonStats() {
  return (
    <div class="card stats skeleton" aria-hidden="true">
      {times(5).map((i) => <div class="stat" key={i}><i /><i /></div>)}
    </div>
  );
}

export function SkeletonRows({ label, rows = 6 }: { label: string; rows?: number }) {
  return (
    <div class="card skeleton" aria-busy="true">
      <p class="sr-only" role="status">{label}</p>
      {times(rows).map((i) => <div class="skeleton-row" key={i}><i /><i /><i /><i /></div>)}
    </div>
  );
}
