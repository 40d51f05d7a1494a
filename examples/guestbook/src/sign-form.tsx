import { useId, useState, type FormEvent } from "react";
import { MAX_LENGTH, type Entry } from "../shared/entry.ts";
import { addEntry, ApiError } from "./api.ts";

export function SignForm({ onSigned }: { onSigned: (entry: Entry) => void }) {
  const [name, setName] = useState(() => localStorage.getItem("name") ?? "");
  const [message, setMessage] = useState("");
  const [error, setError] = useState<ApiError>();
  const [isSending, setIsSending] = useState(false);
  const id = useId();

  const sign = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setIsSending(true);
    try {
      onSigned(await addEntry(name, message));
      localStorage.setItem("name", name.trim());
      setMessage("");
      setError(undefined);
    } catch (problem) {
      setError(problem as ApiError);
    } finally {
      setIsSending(false);
    }
  };

  // The Worker decides what is valid; the form shows what it says at the field that it names.
  const fieldProps = (field: string) => ({
    id: `${id}-${field}`,
    "aria-invalid": error?.field === field,
    "aria-describedby": error ? `${id}-error` : undefined,
  });
  return (
    <form className="card sign" onSubmit={(event) => void sign(event)} noValidate>
      <h1>Sign the book</h1>
      <label htmlFor={`${id}-name`}>Your name</label>
      <input {...fieldProps("name")} value={name} autoComplete="nickname" onChange={(event) => setName(event.target.value)} />
      <label htmlFor={`${id}-message`}>Your message</label>
      <textarea {...fieldProps("message")} value={message} rows={5} onChange={(event) => setMessage(event.target.value)} />
      <p className="count">{MAX_LENGTH.message - [...message].length} characters left</p>
      {error && (
        <p role="alert" id={`${id}-error`} className="error">
          {error.message}
        </p>
      )}
      <button type="submit" disabled={isSending}>
        {isSending ? "Signing…" : "Sign"}
      </button>
    </form>
  );
}
