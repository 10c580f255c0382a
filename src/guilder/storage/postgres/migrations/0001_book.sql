-- One book: its head, its accounts, its journal, its holds. Amounts are int64 minor units.
CREATE SCHEMA book_main;

CREATE TABLE book_main.head (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    position bigint NOT NULL CHECK (position >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    revision bigint NOT NULL,
    changed_at timestamptz NOT NULL
);
INSERT INTO book_main.head (position, hash, revision, changed_at)
VALUES (0, decode(repeat('00', 32), 'hex'), 0, date_trunc('milliseconds', clock_timestamp()));

-- What an account is never changes; what stands on it changes all the time. Apart, the part that is
-- rewritten is 80 bytes, and the fill factor leaves room for its next version on the same page.
CREATE TABLE book_main.accounts (
    id uuid PRIMARY KEY,
    asset text NOT NULL,
    code text NOT NULL,
    owner text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX accounts_owner ON book_main.accounts (owner);

CREATE TABLE book_main.balances (
    account_id uuid PRIMARY KEY,
    posted bigint NOT NULL,
    pending_in bigint NOT NULL CHECK (pending_in >= 0),
    pending_out bigint NOT NULL CHECK (pending_out >= 0),
    sequence bigint NOT NULL CHECK (sequence >= 0),
    no_overdraft boolean NOT NULL,
    is_frozen boolean NOT NULL,
    is_closed boolean NOT NULL,
    CONSTRAINT covered CHECK (NOT no_overdraft OR posted >= pending_out),
    CONSTRAINT closed_is_empty CHECK (NOT is_closed OR (posted, pending_in, pending_out) = (0, 0, 0))
) WITH (fillfactor = 45);

-- One row for a transfer, with the balances that it left on both sides.
CREATE TABLE book_main.transfers (
    position bigint PRIMARY KEY CHECK (position >= 1),
    id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    debit_account_id uuid NOT NULL,
    credit_account_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    asset text NOT NULL,
    code text NOT NULL,
    group_id uuid,
    hold_id uuid,
    reverses_id uuid,
    counted jsonb,
    expires_at timestamptz,
    effective_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    reference text NOT NULL,
    metadata jsonb NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    debit_sequence bigint NOT NULL,
    debit_posted bigint NOT NULL,
    debit_pending_in bigint NOT NULL,
    debit_pending_out bigint NOT NULL,
    credit_sequence bigint NOT NULL,
    credit_posted bigint NOT NULL,
    credit_pending_in bigint NOT NULL,
    credit_pending_out bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT transfers_id UNIQUE (id),
    CONSTRAINT two_accounts CHECK (debit_account_id <> credit_account_id)
);
CREATE INDEX transfers_debit ON book_main.transfers (debit_account_id, position);
CREATE INDEX transfers_credit ON book_main.transfers (credit_account_id, position);

CREATE TABLE book_main.holds (
    id uuid PRIMARY KEY,
    debit_account_id uuid NOT NULL,
    credit_account_id uuid NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    remaining_minor bigint NOT NULL CHECK (remaining_minor BETWEEN 0 AND amount_minor),
    expires_at timestamptz
);

CREATE INDEX holds_open ON book_main.holds (expires_at, id) WHERE remaining_minor > 0;

-- How much of a limit is used up, or how much of a transfer is reversed.
CREATE TABLE book_main.counters (
    id uuid PRIMARY KEY,
    used bigint NOT NULL CHECK (used >= 0)
) WITH (fillfactor = 70);

-- The journal only grows, whoever asks: the application's role lacks the right, the owner meets this.
CREATE FUNCTION book_main.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON book_main.transfers
    FOR EACH ROW EXECUTE FUNCTION book_main.refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON book_main.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION book_main.refuse_change();
