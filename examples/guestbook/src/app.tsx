import { Book } from "./book.tsx";
import { EntryPage } from "./entry-page.tsx";
import { Link, usePath } from "./router.tsx";

export function App() {
  const path = usePath();
  const id = /^\/entries\/(\d+)$/.exec(path)?.[1];
  return (
    <>
      <header className="masthead">
        <Link href="/" className="brand">
          <img src="/favicon.svg" alt="" width="36" height="36" />
          Guestbook
        </Link>
        <p>Leave a line before you go.</p>
      </header>
      <main>{path === "/" ? <Book /> : id === undefined ? <NotFound /> : <EntryPage key={id} id={id} />}</main>
      <footer>
        React, a Worker and D1, in one deploy. <a href="/api/entries">The API</a>
      </footer>
    </>
  );
}

function NotFound() {
  return (
    <section className="empty">
      <h1>This page was torn out</h1>
      <p>Or it was never written.</p>
      <Link href="/">Back to the guestbook</Link>
    </section>
  );
}
