package control

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func TestTooManyCreatesOfOneClientLeaveTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(10, 50)
		refused := 0
		for range 10_000 {
			if err := toStatus(q.take("wild")); err != nil {
				refused++
				info, _, retry := details(err)
				if status.Code(err) != codes.ResourceExhausted || info.GetReason() != "QUOTA_EXCEEDED" || retry.GetRetryDelay().AsDuration() > 100*time.Millisecond {
					t.Fatal(err, retry)
				}
			}
		}
		if refused != 10_000-50 {
			t.Errorf("%d refused", refused)
		}
		if err := q.take("calm"); err != nil {
			t.Error(err)
		}
		<-time.After(time.Second) // fake: the bucket fills at its rate
		for i := range 11 {
			if err := q.take("wild"); (err != nil) != (i == 10) {
				t.Errorf("create %d after a second: %v", i, err)
			}
		}
	})
}

func TestTheQuotaForgetsIdleClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(1, 2)
		for i := range 3 * maxIdentities {
			_ = q.take(fmt.Sprint(i))
		}
		if len(q.clients) > maxIdentities {
			t.Errorf("%d clients kept", len(q.clients))
		}
		if err := q.take("one more"); err == nil {
			t.Error("clients beyond the limit share a bucket, which is empty")
		}
		<-time.After(time.Minute)
		if err := q.take("and later"); err != nil || len(q.clients) != 1 {
			t.Errorf("%v, %d clients", err, len(q.clients))
		}
	})
}

func TestAClientWithoutCertificateIsKnownByItsAddress(t *testing.T) {
	of := func(addr string) string {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return identity(peer.NewContext(context.Background(), &peer.Peer{Addr: a}))
	}
	if of("192.0.2.1:1000") != of("192.0.2.1:2000") || of("192.0.2.1:1000") == of("192.0.2.2:1000") {
		t.Error("clients are told apart by the port, or not by the address")
	}
	if identity(context.Background()) != "" {
		t.Error("a request from nowhere")
	}
}
